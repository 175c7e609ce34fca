import LinearAlgebra

extension CapturedRows {
    /// A range of rows as slices of files.
    ///
    /// - Parameter range: Rows of the concatenation.
    /// - Returns: The slices that hold the rows, in order.
    public func slices(of range: Range<Int>) -> [RowSlice] {
        let rowBytes = UInt64(columns * elementType.byteCount)
        var cut: [RowSlice] = []
        var first = 0
        for slice in slices {
            let overlap = range.clamped(to: first..<first + slice.rows)
            if !overlap.isEmpty {
                let bytes = FileSlice(
                    file: slice.slice.file, offset: slice.slice.offset + UInt64(overlap.lowerBound - first) * rowBytes,
                    byteCount: UInt64(overlap.count) * rowBytes)
                cut.append(
                    RowSlice(
                        slice: bytes, rows: overlap.count, firstRow: slice.firstRow + overlap.lowerBound - first))
            }
            first += slice.rows
        }
        return cut
    }
}
