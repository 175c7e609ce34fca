public import Identifiers

/// The results of other units that a unit reads.
public struct UnitInputs: Hashable, Sendable {
    /// The blobs, in the order that the operation defines; a blob may be listed twice.
    public var blobs: [BlobReference]
    /// The lists of numbers, in the order that the operation defines.
    public var numbers: [[Double]]

    /// Lists inputs.
    public init(blobs: [BlobReference] = [], numbers: [[Double]] = []) {
        self.blobs = blobs
        self.numbers = numbers
    }
}
