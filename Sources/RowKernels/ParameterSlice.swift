/// The elements of an array from an offset to its end, without a copy.
public struct ParameterSlice: Sendable {
    /// The whole array.
    public let values: [Float]
    /// The index of the slice's first element.
    public let offset: Int

    /// A slice of `values`.
    public init(_ values: [Float], at offset: Int = 0) {
        self.values = values
        self.offset = offset
    }
}
