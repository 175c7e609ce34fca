internal import COpenBLAS

/// The Cholesky factor L of a positive definite matrix, M = L·Lᵀ, in fp64.
public struct CholeskyFactor: ~Copyable, Sendable {
    /// `[n, n]`; the lower triangle holds L; the upper is not read.
    private(set) var lower: Matrix<Double>
    /// ‖M‖₁, the largest column sum of magnitudes.
    ///
    /// A condition estimate needs it, and L does not show it.
    public let norm: Double

    /// Factorises in place and takes the matrix's memory.
    ///
    /// - Parameter matrix: `[n, n]`; only the lower triangle is read.
    /// - Throws: ``LinearAlgebraError/notPositiveDefinite(minor:)`` with the order of the failing leading minor, or an
    ///   error of shape; the matrix is consumed.
    /// - Complexity: n³/3 multiply-adds.
    public init(factorizing matrix: consuming Matrix<Double>) throws(LinearAlgebraError) {
        guard matrix.rowCount == matrix.columnCount else {
            throw .invalidShape(rows: matrix.rowCount, columns: matrix.columnCount)
        }
        let norm = matrix.symmetricOneNorm()
        var order = try blasInteger(matrix.rowCount)
        var info: blasint = 0
        if order > 0 {
            // A row-major lower triangle is LAPACK's U (Matrix.swift).
            unsafe dpotrf_("U", &order, matrix.storage.base, &order, &info, 1)
        }
        guard info >= 0 else { throw .lapackFailed(routine: "dpotrf", info: Int(info)) }
        guard info == 0 else { throw .notPositiveDefinite(minor: Int(info)) }
        lower = matrix
        self.norm = norm
    }

    /// Number of rows of M.
    public var dimension: Int { lower.rowCount }

    /// The inverse of M, in the factor's memory.
    ///
    /// - Returns: `[n, n]`; only the lower triangle is valid.
    /// - Throws: ``LinearAlgebraError/lapackFailed(routine:info:)``; the factor is consumed.
    /// - Complexity: 2n³/3 multiply-adds.
    public consuming func inverse() throws(LinearAlgebraError) -> Matrix<Double> {
        var order = try blasInteger(lower.rowCount)
        var info: blasint = 0
        if order > 0 {
            unsafe dpotri_("U", &order, lower.storage.base, &order, &info, 1)
        }
        guard info == 0 else { throw .lapackFailed(routine: "dpotri", info: Int(info)) }
        return lower
    }

    /// Solves in place: `matrix = M⁻¹ · matrix` for ``ProductSide/left``, `matrix = matrix · M⁻¹` for
    /// ``ProductSide/right``.
    /// - Throws: ``LinearAlgebraError/lengthMismatch(buffer:expected:found:)`` when the shapes do not match; `matrix`
    ///   is then unchanged.
    public borrowing func solve(
        _ matrix: inout Matrix<Double>,
        on side: ProductSide
    ) throws(LinearAlgebraError) {
        // M⁻¹X = L⁻ᵀ(L⁻¹X), XM⁻¹ = (XL⁻ᵀ)L⁻¹.
        let operations: [Transposition] = side == .left ? [.none, .transposed] : [.transposed, .none]
        for operation in operations { try solveTriangle(operation, &matrix, on: side) }
    }

    /// An estimate of 1/κ₁(M) (LAPACK `dpocon`): 1 for the identity, about 1e-16 at the edge of fp64.
    /// - Throws: ``LinearAlgebraError/lapackFailed(routine:info:)`` or an error of memory; the factor is unchanged.
    public borrowing func reciprocalConditionEstimate() throws(LinearAlgebraError) -> Double {
        var order = try blasInteger(dimension)
        guard order > 0 else { return 1 }
        var (anorm, estimate, info) = (norm, 0.0, blasint(0))
        var work = [Double](repeating: 0, count: 3 * dimension)
        var integers = [blasint](repeating: 0, count: dimension)
        unsafe dpocon_("U", &order, lower.storage.base, &order, &anorm, &estimate, &work, &integers, &info, 1)
        guard info == 0 else { throw .lapackFailed(routine: "dpocon", info: Int(info)) }
        return estimate
    }

    /// Whether the pivots practically rule out a condition beyond fp64, so that no estimate is needed.
    ///
    /// The squared ratio of L's diagonal elements is a lower bound of the condition number, and in practice within a
    /// factor n of it. The estimate would cost ten sweeps over L.
    public borrowing func pivotsSuggestGoodCondition() -> Bool {
        guard dimension > 0 else { return true }
        let pivots = (0..<dimension).map { unsafe lower.storage.base[$0 * (dimension + 1)] }
        guard let smallest = pivots.smallest(), let largest = pivots.largest() else { return true }
        // False for NaN.
        return (largest / smallest) * (largest / smallest) < 1e8
    }
}

extension Matrix where Scalar == Double {
    /// The 1-norm of a symmetric matrix, its largest column sum of magnitudes; only the lower triangle is read.
    public borrowing func symmetricOneNorm() -> Double {
        let order = min(rowCount, columnCount)
        var sums = [Double](repeating: 0, count: order)
        unsafe sums.withUnsafeMutableBufferPointer { sums in
            guard let base = sums.baseAddress else { return }
            for row in 0..<order {
                let elements = unsafe storage.base + row * columnCount
                var beside = 0.0
                unsafe kfacd_add_magnitudes(elements, base, row, &beside)
                unsafe base[row] += beside + elements[row].magnitude
            }
        }
        return sums.largest() ?? 0
    }
}
