internal import COpenBLAS

/// Products of row chunks with themselves, `rowsᵀ · rows`, added to a packed fp64 sum.
///
/// BLAS computes the product of one chunk in the rows' precision into a scratch square. Its lower triangle is then
/// added in fp64. Over a million rows the error stays below 1e-8; one running fp32 sum has 1e-6. The scratch is kept
/// between calls, because page faults for n² fresh elements cost as much as the addition.
public struct SymmetricProduct: ~Copyable, Sendable {
    private var single: AlignedStorage<Float>
    private var double: AlignedStorage<Double>

    /// Makes scratch, which grows with the first product.
    /// - Throws: ``LinearAlgebraError/outOfMemory(byteCount:)``.
    public init() throws(LinearAlgebraError) {
        let single = try AlignedStorage<Float>(zeros: 0)
        let double = try AlignedStorage<Double>(zeros: 0)
        self.single = single
        self.double = double
    }

    /// Adds one chunk: `sum += rowsᵀ · rows`.
    ///
    /// - Parameters:
    ///   - rows: The rows of `matrix` to add; an empty range adds nothing.
    ///   - matrix: `[r, d]`, fp32. Not copied.
    ///   - sum: Of dimension at least d; the product is added to the leading d × d block.
    /// - Throws: ``LinearAlgebraError/nonFinite(row:)`` (counted within `matrix`),
    ///   ``LinearAlgebraError/squareOverflow(row:column:)`` or an error of shape or memory; `sum` is then unchanged.
    /// - Complexity: r·d² multiply-adds; d² fp32 of scratch.
    public mutating func add(
        rows: Range<Int>,
        of matrix: borrowing Matrix<Float>,
        to sum: inout PackedSymmetricMatrix<Double>
    ) throws(LinearAlgebraError) {
        let dimension = matrix.columnCount
        try requireProduct(rows: rows, of: matrix, sumDimension: sum.dimension)
        guard !rows.isEmpty, dimension > 0 else { return }
        let order = try blasInteger(dimension)
        if single.count < dimension * dimension { single = try AlignedStorage(zeros: dimension * dimension) }
        unsafe cblas_ssyrk(
            CblasRowMajor,
            CblasLower,
            CblasTrans,
            order,
            try blasInteger(rows.count),
            1,
            matrix.storage.base + rows.lowerBound * dimension,
            order,
            0,
            single.base,
            order
        )
        try Self.requireFiniteDiagonal(single, rows: rows, of: matrix)
        for row in 0..<dimension {
            unsafe kfacd_add_widened(
                single.base + row * dimension,
                sum.storage.base + PackedTriangle.offset(ofRow: row),
                row + 1
            )
        }
    }

    /// Adds one chunk of fp64 rows: `sum += rowsᵀ · rows`.
    ///
    /// - Parameters:
    ///   - rows: The rows of `matrix` to add; an empty range adds nothing.
    ///   - matrix: `[r, d]`, fp64. Not copied.
    ///   - sum: Of dimension at least d; the product is added to the leading d × d block.
    /// - Throws: As the fp32 form; `sum` is then unchanged.
    /// - Complexity: r·d² multiply-adds; d² fp64 of scratch.
    public mutating func add(
        rows: Range<Int>,
        of matrix: borrowing Matrix<Double>,
        to sum: inout PackedSymmetricMatrix<Double>
    ) throws(LinearAlgebraError) {
        let dimension = matrix.columnCount
        try requireProduct(rows: rows, of: matrix, sumDimension: sum.dimension)
        guard !rows.isEmpty, dimension > 0 else { return }
        let order = try blasInteger(dimension)
        if double.count < dimension * dimension { double = try AlignedStorage(zeros: dimension * dimension) }
        unsafe cblas_dsyrk(
            CblasRowMajor,
            CblasLower,
            CblasTrans,
            order,
            try blasInteger(rows.count),
            1,
            matrix.storage.base + rows.lowerBound * dimension,
            order,
            0,
            double.base,
            order
        )
        try Self.requireFiniteDiagonal(double, rows: rows, of: matrix)
        for row in 0..<dimension {
            let target = unsafe sum.storage.base + PackedTriangle.offset(ofRow: row)
            let source = unsafe double.base + row * dimension
            for column in 0...row { unsafe target[column] += source[column] }
        }
    }

    private func requireProduct<Scalar>(
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
    private static func requireFiniteDiagonal<Scalar>(
        _ product: borrowing AlignedStorage<Scalar>,
        rows: Range<Int>,
        of matrix: borrowing Matrix<Scalar>
    ) throws(LinearAlgebraError) {
        let dimension = matrix.columnCount
        for column in 0..<dimension where !(unsafe product.base[column * (dimension + 1)].isFinite) {
            throw nonFiniteCause(column: column, rows: rows, of: matrix)
        }
    }

    private static func nonFiniteCause<Scalar>(
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
