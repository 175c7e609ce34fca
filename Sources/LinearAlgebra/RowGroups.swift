internal import COpenBLAS

extension Matrix {
    /// Overwrites the first rows with scaled sums of consecutive row groups of another matrix.
    ///
    /// Row k becomes `scale · Σ` of the k-th group, summed in fp64 and rounded once.
    ///
    /// - Parameters:
    ///   - groupSize: Rows of one group; it divides `rows.count`.
    ///   - rows: The rows of `source` to sum.
    ///   - source: `[r, d]` with this matrix's number of columns.
    ///   - scale: The factor of each sum.
    /// - Throws: ``LinearAlgebraError/lengthMismatch(buffer:expected:found:)`` or
    ///   ``LinearAlgebraError/invalidShape(rows:columns:)`` when the shapes do not fit; nothing is written then.
    @specialized(where Scalar == Float)
    @specialized(where Scalar == Double)
    public mutating func writeSums(
        ofGroupsOf groupSize: Int,
        rows: Range<Int>,
        of source: borrowing Matrix<Float>,
        scale: Double
    ) throws(LinearAlgebraError) {
        try requireRows(rows, of: source)
        try requireLength("the group buffer's columns", expected: source.columnCount, found: columnCount)
        guard groupSize > 0, rows.count.isMultiple(of: groupSize), rows.count / groupSize <= rowCount else {
            throw .invalidShape(rows: rows.count, columns: groupSize)
        }
        var sums = [Double](repeating: 0, count: columnCount)
        unsafe sums.withUnsafeMutableBufferPointer { sums in
            guard let base = sums.baseAddress else { return }
            for group in 0..<rows.count / groupSize {
                unsafe base.update(repeating: 0, count: columnCount)
                let first = unsafe source.storage.base + (rows.lowerBound + group * groupSize) * columnCount
                unsafe kfacd_add_column_sums(first, groupSize, columnCount, base)
                let target = unsafe storage.base + group * columnCount
                for column in 0..<columnCount { unsafe target[column] = Scalar(base[column] * scale) }
            }
        }
    }
}

extension Matrix where Scalar == Float {
    /// The first of the given rows that holds NaN or infinity; nil when all are finite.
    /// - Throws: ``LinearAlgebraError/invalidShape(rows:columns:)`` for rows outside the matrix.
    public borrowing func firstNonFiniteRow(in rows: Range<Int>) throws(LinearAlgebraError) -> Int? {
        try requireRows(rows, of: self)
        for row in rows {
            let elements = unsafe storage.base + row * columnCount
            var flaws = 0
            for column in 0..<columnCount { flaws |= unsafe elements[column].isFinite ? 0 : 1 }
            if flaws != 0 { return row }
        }
        return nil
    }
}
