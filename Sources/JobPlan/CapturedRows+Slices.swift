import LinearAlgebra
public import UnitOperations

extension CapturedRows {
    /// The places of a range of rows, cut at the range's ends and at the files' borders.
    ///
    /// - Parameter range: Rows of the concatenation.
    /// - Returns: The slices that hold them, in order.
    public func slices(of range: Range<Int>) -> [RowSlice] {
        slices.cut(to: range, rowBytes: columns * elementType.byteCount)
    }
}
