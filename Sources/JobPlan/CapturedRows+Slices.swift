import LinearAlgebra
public import UnitOperations

extension CapturedRows {
    /// A range of rows as slices of files.
    ///
    /// - Parameter range: Rows of the concatenation.
    /// - Returns: The slices that hold the rows, in order.
    public func slices(of range: Range<Int>) -> [RowSlice] {
        slices.cut(to: range, rowBytes: columns * rowType.byteCount)
    }
}
