/// The elements of an array from an offset on, without a copy.
public struct ParameterSlice: Sendable {
    /// The whole array.
    public let values: [Float]
    /// Where the slice starts.
    public let offset: Int

    /// A slice of `values`.
    public init(_ values: [Float], at offset: Int = 0) {
        self.values = values
        self.offset = offset
    }
}
