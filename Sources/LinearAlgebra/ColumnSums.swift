/// Adds the column sums of some rows to running sums: `sums += rowsᵀ · 1`, in fp64, in the order of the rows.
///
/// - Parameters:
///   - rows: The rows of `matrix` to add.
///   - matrix: `[r, d]`.
///   - sums: `[d]`.
/// - Throws: ``LinearAlgebraError/invalidShape(rows:columns:)`` for rows outside the matrix,
///   ``LinearAlgebraError/lengthMismatch(buffer:expected:found:)`` for sums of another length; `sums` is unchanged.
public func addColumnSums<Scalar: MatrixScalar>(
    ofRows rows: Range<Int>,
    of matrix: borrowing Matrix<Scalar>,
    to sums: inout MutableSpan<Double>
) throws(LinearAlgebraError) {
    try requireRows(rows, of: matrix)
    try requireLength("the column sums", expected: matrix.columnCount, found: sums.count)
    let base = unsafe matrix.storage.base + rows.lowerBound * matrix.columnCount
    unsafe sums.withUnsafeMutableBufferPointer { target in
        guard let target = target.baseAddress else { return }
        unsafe Scalar.routines.addColumnSums(base, rows.count, matrix.columnCount, target)
    }
}

/// Adds the column sums of squares of some rows to running sums, in fp64, in the order of the rows.
///
/// - Parameters:
///   - rows: The rows of `matrix` to add.
///   - matrix: `[r, d]`, fp32.
///   - sums: At least `[d]`; the first d elements are added to.
/// - Throws: As ``addColumnSums(ofRows:of:to:)``; `sums` is then unchanged.
public func addColumnSquares(
    ofRows rows: Range<Int>,
    of matrix: borrowing Matrix<Float>,
    to sums: inout MutableSpan<Double>
) throws(LinearAlgebraError) {
    try requireRows(rows, of: matrix)
    let columns = matrix.columnCount
    guard sums.count >= columns else {
        throw .lengthMismatch(buffer: "the column sums", expected: columns, found: sums.count)
    }
    unsafe sums.withUnsafeMutableBufferPointer { target in
        guard let target = target.baseAddress else { return }
        for row in rows {
            let elements = unsafe matrix.storage.base + row * columns
            for column in 0..<columns {
                let value = Double(unsafe elements[column])
                unsafe target[column] += value * value
            }
        }
    }
}

/// Throws unless the range lies within the matrix's rows.
func requireRows<Scalar>(_ rows: Range<Int>, of matrix: borrowing Matrix<Scalar>) throws(LinearAlgebraError) {
    guard rows.lowerBound >= 0, rows.upperBound <= matrix.rowCount else {
        throw .invalidShape(rows: rows.upperBound, columns: matrix.columnCount)
    }
}
