/// The element order of symmetric matrices in messages and files: the lower triangle row by row.
///
/// Element (i, j), j ≤ i, is at `i(i + 1)/2 + j`; n rows have n(n + 1)/2 elements. The first k rows of a packed
/// matrix are the packed leading k × k block, and a contiguous range of elements is a contiguous range of bytes.
public enum PackedTriangle {
    /// Number of elements of a packed matrix.
    /// - Throws: ``LinearAlgebraError/invalidShape(rows:columns:)`` for a negative dimension, or one whose square
    ///   overflows.
    public static func elementCount(dimension: Int) throws(LinearAlgebraError) -> Int {
        guard dimension >= 0, dimension < 1 << 30 else { throw .invalidShape(rows: dimension, columns: dimension) }
        return offset(ofRow: dimension)
    }

    /// Index of a row's first element, column 0; `row` must be below 2^30.
    public static func offset(ofRow row: Int) -> Int { row * (row + 1) / 2 }

    /// Index of element (row, row).
    public static func diagonalOffset(_ row: Int) -> Int { offset(ofRow: row) + row }

    /// The row that holds the element at `index`.
    public static func row(containing index: Int) -> Int {
        var row = Int((Double(8 * index + 1).squareRoot() - 1) / 2)
        // The square root is rounded, so step to the exact row.
        while offset(ofRow: row) > index { row -= 1 }
        while offset(ofRow: row + 1) <= index { row += 1 }
        return row
    }

    /// Calls `body` with the position inside `range` of each diagonal element in the range, in order.
    public static func forEachDiagonal(in range: Range<Int>, _ body: (Int) -> Void) {
        guard !range.isEmpty else { return }
        var row = row(containing: range.lowerBound)
        while diagonalOffset(row) < range.upperBound {
            // A row's diagonal is its last element, so the first row's diagonal is never before the range.
            body(diagonalOffset(row) - range.lowerBound)
            row += 1
        }
    }
}
