internal import COpenBLAS

/// The eigendecomposition M = Σ λ_k q_k q_kᵀ of a symmetric matrix, by divide and conquer.
public struct SymmetricEigen<Scalar: MatrixScalar>: ~Copyable, Sendable {
    /// The eigenvalues in ascending order, `[n]`.
    public let values: [Scalar]
    /// `[n, n]`: row k is the unit eigenvector q_k of `values[k]`.
    public let vectors: Matrix<Scalar>

    /// Returns the vectors and consumes the result.
    public consuming func intoVectors() -> Matrix<Scalar> { vectors }
}

extension SymmetricEigen {
    /// The largest n whose workspace LAPACK's 32-bit integers can state.
    public static var dimensionMax: Int { 32_766 }

    /// Decomposes in place and takes the matrix's memory for the vectors.
    ///
    /// - Parameter matrix: `[n, n]`; only the lower triangle is read.
    /// - Throws: ``LinearAlgebraError/workspaceExceedsLAPACK(routine:dimension:elementCount:)`` for n ≥ 32767,
    ///   ``LinearAlgebraError/notConverged(routine:info:)``, or an error of shape or memory; the matrix is consumed.
    /// - Complexity: about 9n³ multiply-adds; 2n² + 6n + 1 elements of workspace.
    public init(decomposing matrix: consuming Matrix<Scalar>) throws(LinearAlgebraError) {
        let routine = Scalar.routines.letter + "syevd"
        let workspace = try EigenWorkspace(routine: routine, matrix)
        let work = try AlignedStorage<Scalar>(zeros: Int(workspace.realCount))
        var integers = [blasint](repeating: 0, count: Int(workspace.integerCount))
        var eigenvalues = [Scalar](repeating: 0, count: matrix.rowCount)
        var (order, info) = (workspace.order, blasint(0))
        var (realCount, integerCount) = (workspace.realCount, workspace.integerCount)
        if order > 0 {
            unsafe Scalar.routines.syevd(
                "V",
                "U",
                &order,
                matrix.storage.base,
                &order,
                &eigenvalues,
                work.base,
                &realCount,
                &integers,
                &integerCount,
                &info,
                1,
                1
            )
        }
        try requireSuccess(info, of: routine)
        values = eigenvalues
        vectors = matrix
    }
}

/// The workspace of `?syevd` with vectors, from LAPACK's documented formula.
///
/// LAPACK's own query is not used. `ssyevd` returns the length rounded to fp32, too short for some n ≥ 2895
/// (Reference-LAPACK issue 600). `dsyevd` overflows its 32-bit integers at n = 32767 and reports success.
struct EigenWorkspace: Equatable {
    let order: blasint
    /// `LWORK` = 1 + 6n + 2n².
    let realCount: blasint
    /// `LIWORK` = 3 + 5n.
    let integerCount: blasint

    init(routine: String, dimension: Int) throws(LinearAlgebraError) {
        order = try blasInteger(dimension)
        let realCount = dimension > 1 ? 1 + 6 * dimension + 2 * dimension * dimension : 1
        guard let real = blasint(exactly: realCount), let integer = blasint(exactly: 3 + 5 * dimension) else {
            throw .workspaceExceedsLAPACK(routine: routine, dimension: dimension, elementCount: realCount)
        }
        self.realCount = real
        self.integerCount = integer
    }

    init<Scalar>(routine: String, _ matrix: borrowing Matrix<Scalar>) throws(LinearAlgebraError) {
        guard matrix.rowCount == matrix.columnCount else {
            throw .invalidShape(rows: matrix.rowCount, columns: matrix.columnCount)
        }
        try self.init(routine: routine, dimension: matrix.rowCount)
    }
}
