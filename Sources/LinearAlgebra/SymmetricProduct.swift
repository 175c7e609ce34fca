internal import COpenBLAS

/// Products of row chunks with themselves, `rowsᵀ · rows`, added to a packed fp64 sum.
///
/// The product of one chunk is computed in the rows' own precision into a scratch square, by the BLAS or as the
/// arithmetic says. Its lower triangle is then added in fp64: over a million rows the error stays below 1e-8, where one
/// running fp32 sum has 1e-6. The scratch is kept between calls, since faulting in n² fresh elements for every unit
/// costs as much as the addition.
public struct SymmetricProduct<Scalar: MatrixScalar>: ~Copyable, Sendable {
    private let arithmetic: ProductArithmetic
    /// Nil leaves narrow rows to the BLAS.
    private let fused: FusedInstructions?
    private var scratch: AlignedStorage<Scalar>
    /// Scratch of the arithmetic, beside the square.
    private var packed: AlignedStorage<Scalar>

    /// Makes scratch, which grows with the first product.
    ///
    /// - Parameter arithmetic: How rows are multiplied; fp64 rows always by the BLAS. The processor must support it.
    /// - Throws: ``LinearAlgebraError/outOfMemory(byteCount:)``.
    public init(_ arithmetic: ProductArithmetic = .blas) throws(LinearAlgebraError) {
        precondition(arithmetic.isSupported, "the processor lacks the arithmetic of a product")
        try self.init(arithmetic, fused: .best)
    }

    /// Makes scratch for products of narrow rows by given instructions, so that each can be tested.
    init(_ arithmetic: ProductArithmetic, fused: FusedInstructions?) throws(LinearAlgebraError) {
        let scratch = try AlignedStorage<Scalar>(zeros: 0)
        let packed = try AlignedStorage<Scalar>(zeros: 0)
        self.arithmetic = arithmetic
        self.fused = fused
        self.scratch = scratch
        self.packed = packed
    }

    /// Adds one chunk: `sum += rowsᵀ · rows`.
    ///
    /// - Parameters:
    ///   - rows: The rows of `matrix` to use; an empty range adds nothing.
    ///   - matrix: `[r, d]`. Not copied.
    ///   - sum: Dimension at least d; the leading d × d block is added to.
    /// - Throws: ``LinearAlgebraError/nonFinite(row:)`` (counted within `matrix`),
    ///   ``LinearAlgebraError/squareOverflow(row:column:)`` or an error of shape or memory; `sum` is then unchanged.
    /// - Complexity: r·d² multiply-adds; d² elements of scratch.
    @specialized(where Scalar == Float)
    @specialized(where Scalar == Double)
    public mutating func add(
        rows: Range<Int>,
        of matrix: borrowing Matrix<Scalar>,
        to sum: inout PackedSymmetricMatrix<Double>
    ) throws(LinearAlgebraError) {
        let dimension = matrix.columnCount
        try requireProduct(rows: rows, of: matrix, sumDimension: sum.dimension)
        guard !rows.isEmpty, dimension > 0 else { return }
        if scratch.count < dimension * dimension { scratch = try AlignedStorage(zeros: dimension * dimension) }
        var isDone = try multiplyExactly(rows: rows, of: matrix)
        if !isDone { isDone = try multiplyFused(rows: rows, of: matrix) }
        if !isDone { try multiply(rows: rows, of: matrix) }
        try Self.requireFiniteDiagonal(scratch, rows: rows, of: matrix)
        let addWidened = unsafe Scalar.routines.addWidened
        for row in 0..<dimension {
            unsafe addWidened(
                scratch.base + row * dimension,
                sum.storage.base + PackedTriangle.offset(ofRow: row),
                row + 1
            )
        }
    }

    /// Sets the scratch's lower triangle by the BLAS.
    private mutating func multiply(rows: Range<Int>, of matrix: borrowing Matrix<Scalar>) throws(LinearAlgebraError) {
        let dimension = matrix.columnCount
        let order = try blasInteger(dimension)
        unsafe Scalar.routines.syrk(
            CblasRowMajor,
            CblasLower,
            CblasTrans,
            order,
            try blasInteger(rows.count),
            1,
            matrix.storage.base + rows.lowerBound * dimension,
            order,
            0,
            scratch.base,
            order
        )
    }

    /// Sets the scratch's lower triangle in bfloat16; false if that is not the arithmetic, or not exact for these rows.
    private mutating func multiplyExactly(
        rows: Range<Int>, of matrix: borrowing Matrix<Scalar>
    ) throws(LinearAlgebraError) -> Bool {
        guard arithmetic == .exactBFloat16, Scalar.self == Float.self else { return false }
        let dimension = matrix.columnCount
        try reservePacked(columnCount: dimension)
        return unsafe Scalar.routines.bfloat16Product(
            matrix.storage.base + rows.lowerBound * dimension, rows.count, dimension, scratch.base,
            UnsafeMutableRawPointer(packed.base))
    }

    /// Sets the scratch's lower triangle by fused multiply-adds; false if these rows are not for them.
    private mutating func multiplyFused(
        rows: Range<Int>, of matrix: borrowing Matrix<Scalar>
    ) throws(LinearAlgebraError) -> Bool {
        let dimension = matrix.columnCount
        guard let fused, arithmetic.fuses(columnCount: dimension), Scalar.self == Float.self else { return false }
        try reservePacked(columnCount: dimension)
        unsafe Scalar.routines.fusedProduct(
            fused, matrix.storage.base + rows.lowerBound * dimension, rows.count, dimension, scratch.base,
            UnsafeMutableRawPointer(packed.base))
        return true
    }

    private mutating func reservePacked(columnCount: Int) throws(LinearAlgebraError) {
        let count = arithmetic.scratchByteCount(columnCount: columnCount) / MemoryLayout<Scalar>.stride
        if packed.count < count { packed = try AlignedStorage(zeros: count) }
    }

    private func requireProduct(
        rows: Range<Int>,
        of matrix: borrowing Matrix<Scalar>,
        sumDimension: Int
    ) throws(LinearAlgebraError) {
        try requireRows(rows, of: matrix)
        guard sumDimension >= matrix.columnCount else {
            throw .lengthMismatch(buffer: "the sum's side", expected: matrix.columnCount, found: sumDimension)
        }
    }

    /// Finds NaN, infinity and overflow by reading n elements: each of them reaches the diagonal of the product.
    ///
    /// Only then are the rows searched.
    private static func requireFiniteDiagonal(
        _ product: borrowing AlignedStorage<Scalar>,
        rows: Range<Int>,
        of matrix: borrowing Matrix<Scalar>
    ) throws(LinearAlgebraError) {
        let dimension = matrix.columnCount
        for column in 0..<dimension where !(unsafe product.base[column * (dimension + 1)].isFinite) {
            throw nonFiniteCause(column: column, rows: rows, of: matrix)
        }
    }

    private static func nonFiniteCause(
        column: Int,
        rows: Range<Int>,
        of matrix: borrowing Matrix<Scalar>
    ) -> LinearAlgebraError {
        let columnCount = matrix.columnCount
        var largest = (row: rows.lowerBound, magnitude: Scalar.zero)
        for row in rows {
            let elements = unsafe matrix.storage.base + row * columnCount
            for index in 0..<columnCount where !(unsafe elements[index].isFinite) { return .nonFinite(row: row) }
            let magnitude = unsafe elements[column].magnitude
            if magnitude > largest.magnitude { largest = (row, magnitude) }
        }
        return .squareOverflow(row: largest.row, column: column)
    }
}
