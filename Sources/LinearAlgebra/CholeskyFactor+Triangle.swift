internal import COpenBLAS

extension CholeskyFactor {
    /// Multiplies by L or Lᵀ in place: `matrix = op(L) · matrix` on the left, `matrix · op(L)` on the right.
    ///
    /// - Parameters:
    ///   - operation: Whether L is transposed.
    ///   - matrix: `[n, m]` for ``ProductSide/left``, `[m, n]` for right.
    ///   - side: The side of L.
    /// - Throws: ``LinearAlgebraError/lengthMismatch(buffer:expected:found:)`` when the shapes do not match; `matrix`
    ///   is then unchanged.
    /// - Complexity: n²·m/2 multiply-adds.
    public borrowing func multiplyTriangle(
        _ operation: Transposition, into matrix: inout Matrix<Double>, on side: ProductSide
    ) throws(LinearAlgebraError) {
        try requireSide(of: matrix, side)
        guard matrix.elementCount > 0 else { return }
        unsafe cblas_dtrmm(
            CblasRowMajor, side == .left ? CblasLeft : CblasRight, CblasLower, operation.cblas, CblasNonUnit,
            try blasInteger(matrix.rowCount), try blasInteger(matrix.columnCount), 1, lower.storage.base,
            try blasInteger(dimension), matrix.storage.base, try blasInteger(matrix.columnCount))
    }

    /// Solves with L or Lᵀ in place: `matrix = op(L)⁻¹ · matrix` on the left, `matrix · op(L)⁻¹` on the right.
    ///
    /// - Parameters:
    ///   - operation: Whether L is transposed.
    ///   - matrix: `[n, m]` for ``ProductSide/left``, `[m, n]` for right.
    ///   - side: The side of L.
    /// - Throws: ``LinearAlgebraError/lengthMismatch(buffer:expected:found:)`` when the shapes do not match; `matrix`
    ///   is then unchanged.
    /// - Complexity: n²·m/2 multiply-adds.
    public borrowing func solveTriangle(
        _ operation: Transposition, _ matrix: inout Matrix<Double>, on side: ProductSide
    ) throws(LinearAlgebraError) {
        try requireSide(of: matrix, side)
        guard matrix.elementCount > 0 else { return }
        unsafe cblas_dtrsm(
            CblasRowMajor, side == .left ? CblasLeft : CblasRight, CblasLower, operation.cblas, CblasNonUnit,
            try blasInteger(matrix.rowCount), try blasInteger(matrix.columnCount), 1, lower.storage.base,
            try blasInteger(dimension), matrix.storage.base, try blasInteger(matrix.columnCount))
    }

    private borrowing func requireSide(
        of matrix: borrowing Matrix<Double>, _ side: ProductSide
    ) throws(LinearAlgebraError) {
        let shared = side == .left ? matrix.rowCount : matrix.columnCount
        try requireLength("the right-hand side", expected: dimension, found: shared)
    }
}
