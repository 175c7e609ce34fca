public import Identifiers

/// What a unit reads of what other units made.
public struct UnitInputs: Hashable, Sendable {
    /// The blobs, in the order that the operation defines; one may stand there twice.
    public var blobs: [BlobReference]
    /// The lists of numbers, in the order that the operation defines.
    public var numbers: [[Double]]

    /// Lists inputs.
    public init(blobs: [BlobReference] = [], numbers: [[Double]] = []) {
        self.blobs = blobs
        self.numbers = numbers
    }
}
