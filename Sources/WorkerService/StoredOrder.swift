/// Copies between a layer's matrix and a weight that is stored as `[d_in, d_out]`, some stored rows at a time.
///
/// A stored row holds the weights of one input, which are a column of the matrix.
enum StoredOrder {
    /// Columns that are gathered together, so that a cache line of the matrix is used whole.
    static let columnsAtOnce = 16

    /// Copies stored rows into columns of the matrix.
    ///
    /// - Parameters:
    ///   - stored: Stored rows, one after the other.
    ///   - matrix: The matrix's elements, row by row.
    ///   - columns: The columns that receive the stored rows.
    ///   - width: The matrix's number of columns.
    static func scatter(
        _ stored: Span<Double>, into matrix: inout MutableSpan<Double>, columns: Range<Int>, width: Int
    ) {
        let rows = stored.count / columns.count
        for row in 0..<rows {
            for column in columns {
                matrix[row * width + column] = stored[(column - columns.lowerBound) * rows + row]
            }
        }
    }

    /// Copies stored rows into rows of the matrix.
    ///
    /// - Parameters:
    ///   - stored: Stored rows, one after the other.
    ///   - matrix: The matrix's elements, row by row.
    ///   - columns: The columns that the stored rows have in the matrix.
    ///   - firstRow: The row of the matrix that receives the first one.
    ///   - width: The matrix's number of columns.
    static func copy(
        _ stored: Span<Double>, into matrix: inout MutableSpan<Double>, columns: Range<Int>, firstRow: Int, width: Int
    ) {
        for row in 0..<stored.count / columns.count {
            let start = (firstRow + row) * width + columns.lowerBound
            for column in 0..<columns.count { matrix[start + column] = stored[row * columns.count + column] }
        }
    }

    /// Copies rows of the matrix into stored rows: the way back of ``copy(_:into:columns:firstRow:width:)``.
    static func take(
        _ matrix: Span<Double>, columns: Range<Int>, firstRow: Int, width: Int, into stored: inout MutableSpan<Double>
    ) {
        for row in 0..<stored.count / columns.count {
            let start = (firstRow + row) * width + columns.lowerBound
            for column in 0..<columns.count { stored[row * columns.count + column] = matrix[start + column] }
        }
    }

    /// Copies columns of the matrix into stored rows.
    ///
    /// - Parameters:
    ///   - matrix: The matrix's elements, row by row.
    ///   - columns: The columns that become the stored rows.
    ///   - width: The matrix's number of columns.
    ///   - stored: Receives the stored rows, one after the other.
    static func gather(
        _ matrix: Span<Double>, columns: Range<Int>, width: Int, into stored: inout MutableSpan<Double>
    ) {
        let rows = matrix.count / width
        for row in 0..<rows {
            for column in columns {
                stored[(column - columns.lowerBound) * rows + row] = matrix[row * width + column]
            }
        }
    }
}
