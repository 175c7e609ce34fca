internal import COpenBLAS

/// The eigenvalues of a symmetric matrix without its eigenvectors.
public enum SymmetricEigenvalues {
    /// Computes the eigenvalues by reduction to a tridiagonal matrix (LAPACK `?syevd` without vectors).
    ///
    /// - Parameter matrix: `[n, n]`; only the lower triangle is read. Its memory is overwritten.
    /// - Returns: The eigenvalues in ascending order.
    /// - Throws: ``LinearAlgebraError/notConverged(routine:info:)``, or an error of shape; the matrix is consumed.
    /// - Complexity: about 2n³/3 multiply-adds.
    public static func of<Scalar: MatrixScalar>(
        _ matrix: consuming Matrix<Scalar>
    ) throws(LinearAlgebraError) -> [Scalar] {
        guard matrix.rowCount == matrix.columnCount else {
            throw .invalidShape(rows: matrix.rowCount, columns: matrix.columnCount)
        }
        var order = try blasInteger(matrix.rowCount)
        var eigenvalues = [Scalar](repeating: 0, count: matrix.rowCount)
        guard order > 0 else { return eigenvalues }
        // LAPACK's documented lengths are 2n + 1 and 1; its blocked reduction wants a block of rows besides.
        var realCount = try blasInteger(1 + 2 * matrix.rowCount + 64 * matrix.rowCount)
        let work = try AlignedStorage<Scalar>(zeros: Int(realCount))
        var integers: [blasint] = [0]
        var (integerCount, info) = (blasint(1), blasint(0))
        unsafe Scalar.routines.syevd(
            "N", "U", &order, matrix.storage.base, &order, &eigenvalues, work.base, &realCount, &integers,
            &integerCount, &info, 1, 1)
        try requireSuccess(info, of: Scalar.routines.letter + "syevd")
        return eigenvalues
    }
}
