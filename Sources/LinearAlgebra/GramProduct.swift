internal import COpenBLAS

/// The two products of a matrix with its own transpose.
public enum GramSide: Sendable {
    /// Mᵀ · M, of the columns.
    case columns
    /// M · Mᵀ, of the rows.
    case rows
}

extension Matrix {
    /// Adds `scale` times a Gram matrix to the lower triangle; the upper triangle is not changed.
    ///
    /// It takes half of the multiply-adds of a general product (BLAS `?syrk`).
    ///
    /// - Parameters:
    ///   - matrix: M, `[m, n]`.
    ///   - side: Mᵀ · M, `[n, n]`, or M · Mᵀ, `[m, m]`.
    ///   - scale: A factor of the product.
    /// - Throws: ``LinearAlgebraError/lengthMismatch(buffer:expected:found:)`` unless this matrix has that shape, or
    ///   ``LinearAlgebraError/dimensionExceedsBLAS(dimension:)``; `self` is then unchanged.
    public mutating func addGramMatrix(
        of matrix: borrowing Matrix<Scalar>, _ side: GramSide, scale: Scalar = 1
    ) throws(LinearAlgebraError) {
        let order = side == .columns ? matrix.columnCount : matrix.rowCount
        let inner = side == .columns ? matrix.rowCount : matrix.columnCount
        try requireLength("the Gram matrix's rows", expected: order, found: rowCount)
        try requireLength("the Gram matrix's columns", expected: order, found: columnCount)
        guard order > 0, inner > 0 else { return }
        unsafe Scalar.routines.syrk(
            CblasRowMajor, CblasLower, side == .columns ? CblasTrans : CblasNoTrans, try blasInteger(order),
            try blasInteger(inner), scale, matrix.storage.base, try blasInteger(matrix.columnCount), 1, storage.base,
            try blasInteger(columnCount))
    }
}
