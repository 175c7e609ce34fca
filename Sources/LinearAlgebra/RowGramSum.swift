internal import COpenBLAS

/// Products of blocks of columns with themselves, `block · blockᵀ`, added to a packed fp64 sum.
///
/// It is the Gram matrix of rows that may be too long for memory: rows come in blocks of columns. A product is fp32,
/// and takes half of the multiply-adds of a general product (BLAS `ssyrk`). It is added in fp64, as
/// ``SymmetricProduct`` adds chunks of rows.
public struct RowGramSum: ~Copyable, Sendable {
    /// The sum so far.
    public private(set) var sum: PackedSymmetricMatrix<Double>
    private var scratch: AlignedStorage<Float>

    /// An empty sum.
    ///
    /// - Parameter rows: Number of rows, n.
    /// - Throws: ``LinearAlgebraError`` for a number whose square is too large, or when there is no memory.
    public init(rows: Int) throws(LinearAlgebraError) {
        let sum = try PackedSymmetricMatrix<Double>(dimension: rows)
        let scratch = try AlignedStorage<Float>(zeros: rows * rows)
        self.sum = sum
        self.scratch = scratch
    }

    /// Bytes of a sum: the fp64 triangle, and the fp32 square of one product.
    public static func memoryBytes(rows: Int) -> UInt64 {
        let square = UInt64(rows).saturatingProduct(UInt64(rows))
        return square.saturatingProduct(8).saturatingSum(UInt64(rows).saturatingProduct(4))
    }

    /// Adds one block.
    ///
    /// - Parameters:
    ///   - columns: The columns of `matrix` that form the block; an empty range adds nothing.
    ///   - matrix: `[n, c]`. Not copied.
    /// - Throws: ``LinearAlgebraError/squareOverflow(row:column:)`` for a row whose squares overflow fp32, or an error
    ///   of shape; the sum is then unchanged.
    /// - Complexity: n² c / 2 multiply-adds.
    public mutating func add(columns: Range<Int>, of matrix: borrowing Matrix<Float>) throws(LinearAlgebraError) {
        let order = sum.dimension
        try requireLength("the block's rows", expected: order, found: matrix.rowCount)
        guard columns.lowerBound >= 0, columns.upperBound <= matrix.columnCount else {
            throw .lengthMismatch(
                buffer: "the block's columns", expected: columns.upperBound, found: matrix.columnCount)
        }
        guard order > 0, !columns.isEmpty else { return }
        unsafe Float.routines.syrk(
            CblasRowMajor, CblasLower, CblasNoTrans, try blasInteger(order), try blasInteger(columns.count), 1,
            matrix.storage.base + columns.lowerBound, try blasInteger(matrix.columnCount), 0, scratch.base,
            try blasInteger(order))
        for row in 0..<order where !(unsafe scratch.base[row * (order + 1)].isFinite) {
            throw .squareOverflow(row: row, column: columns.lowerBound)
        }
        let addWidened = unsafe Float.routines.addWidened
        for row in 0..<order {
            unsafe addWidened(
                scratch.base + row * order, sum.storage.base + PackedTriangle.offset(ofRow: row), row + 1)
        }
    }

    /// Adds a number to every element: what a column of equal elements adds to the Gram matrix.
    public mutating func addToAll(_ value: Double) {
        guard value != 0 else { return }
        for index in 0..<sum.elementCount { unsafe sum.storage.base[index] += value }
    }
}
