import KroneckerFactors
import LinearAlgebra

/// Coordinates in which a task's factor and the sum of all are both diagonal: S = P⁻ᵀP⁻¹ and F = P⁻ᵀ diag(f) P⁻¹, with
/// S = F + F' + εI of the task's F and the others' F'.
///
/// With S = L Lᵀ and the eigenvectors V of L⁻¹F L⁻ᵀ as rows, P = L⁻ᵀVᵀ. Both ways to and from the coordinates are
/// products and triangular solves, so no inverse is formed. All in fp64.
struct SimultaneousDiagonalization: ~Copyable {
    /// L; of no dimension for diagonals.
    private let cholesky: CholeskyFactor
    /// V.
    private let vectors: Matrix<Double>
    /// √S of diagonals.
    private let roots: [Double]?
    /// f, from 0 to 1: the task's share of the curvature of each coordinate.
    let shares: [Double]
    /// How S became positive definite.
    let health: FactorHealth

    /// Diagonalizes.
    ///
    /// - Parameters:
    ///   - part: F.
    ///   - total: F + F', packed.
    ///   - damping: ε, which is raised tenfold as long as S is not positive definite.
    /// - Throws: ``TaskArithmeticError/linearAlgebra(_:)`` when S is not positive definite with a damping of its mean
    ///   eigenvalue, or when memory is short.
    init(
        of part: borrowing TaskFactor, in total: borrowing PackedSymmetricMatrix<Double>,
        damping: Double
    ) throws(TaskArithmeticError) {
        self = try carryingErrors { () throws(LinearAlgebraError) in
            part.shape.isDiagonal
                ? try Self.ofDiagonals(part, total, damping) : try Self.ofTriangles(part, total, damping)
        }
    }

    private init(
        cholesky: consuming CholeskyFactor, vectors: consuming Matrix<Double>, roots: [Double]?, shares: [Double],
        health: FactorHealth
    ) {
        self.cholesky = cholesky
        self.vectors = vectors
        self.roots = roots
        self.shares = shares
        self.health = health
    }

    private static func ofDiagonals(
        _ part: borrowing TaskFactor, _ total: borrowing PackedSymmetricMatrix<Double>,
        _ damping: Double
    ) throws(LinearAlgebraError) -> SimultaneousDiagonalization {
        let sums = total.diagonal.map { $0 + damping }
        var health = Self.health(of: total, damping)
        health.attempts = 1
        let free = sums.filter { $0 > 0 }
        health.conditionEstimate = (free.largest() ?? 1) / (free.smallest() ?? 1)
        return SimultaneousDiagonalization(
            cholesky: try CholeskyFactor(factorizing: Matrix(rows: 0, columns: 0)),
            vectors: try Matrix(rows: 0, columns: 0), roots: sums.map { max(0, $0).squareRoot() },
            shares: zip(part.diagonal, sums).map { $1 > 0 ? min(1, max(0, $0 / $1)) : 0 }, health: health)
    }

    private static func ofTriangles(
        _ part: borrowing TaskFactor, _ total: borrowing PackedSymmetricMatrix<Double>,
        _ damping: Double
    ) throws(LinearAlgebraError) -> SimultaneousDiagonalization {
        var health = health(of: total, damping)
        let cholesky = try factorized(total, &health)
        var scaled = try part.unpacked()
        try cholesky.solveTriangle(.none, &scaled, on: .left)
        try cholesky.solveTriangle(.transposed, &scaled, on: .right)
        let eigen = try SymmetricEigen(decomposing: scaled)
        let shares = eigen.values.map { min(1, max(0, $0)) }
        return SimultaneousDiagonalization(
            cholesky: cholesky, vectors: eigen.intoVectors(), roots: nil, shares: shares, health: health)
    }

    private static func health(
        of total: borrowing PackedSymmetricMatrix<Double>, _ damping: Double
    ) -> FactorHealth {
        FactorHealth(
            dimension: total.dimension, meanDiagonal: total.trace / Double(max(1, total.dimension)),
            requestedDamping: damping, pinnedCount: total.diagonal.count { $0 == 0 })
    }

    private static func factorized(
        _ total: borrowing PackedSymmetricMatrix<Double>, _ health: inout FactorHealth
    ) throws(LinearAlgebraError) -> CholeskyFactor {
        let mean = health.meanDiagonal
        while true {
            health.attempts += 1
            do {
                var square = try total.unpackedLower()
                square.addToDiagonal(health.damping)
                let cholesky = try CholeskyFactor(factorizing: square)
                health.conditionEstimate = 1 / (try cholesky.reciprocalConditionEstimate())
                return cholesky
            } catch .notPositiveDefinite(let minor) {
                guard health.damping < mean else { throw .notPositiveDefinite(minor: minor) }
                health.remedy = .raisedDamping
                health.damping = max(10 * health.damping, 1e-7 * mean)
            }
        }
    }

    /// Takes a matrix to the coordinates: `P⁻¹ · matrix` on the left, `matrix · P⁻ᵀ` on the right.
    borrowing func toCoordinates(
        _ matrix: consuming Matrix<Double>, on side: ProductSide
    ) throws(LinearAlgebraError) -> Matrix<Double> {
        if let roots {
            try matrix.multiply(byDiagonal: roots, on: side)
            return matrix
        }
        var result = try Matrix<Double>(rows: matrix.rowCount, columns: matrix.columnCount)
        if side == .left {
            try cholesky.multiplyTriangle(.transposed, into: &matrix, on: .left)
            try result.addProduct(vectors, .none, matrix)
        } else {
            try cholesky.multiplyTriangle(.none, into: &matrix, on: .right)
            try result.addProduct(matrix, .none, vectors, .transposed)
        }
        return result
    }

    /// Takes a matrix back: `P · matrix` on the left, `matrix · Pᵀ` on the right.
    borrowing func fromCoordinates(
        _ matrix: consuming Matrix<Double>, on side: ProductSide
    ) throws(LinearAlgebraError) -> Matrix<Double> {
        if let roots {
            try matrix.multiply(byDiagonal: roots.map { $0 > 0 ? 1 / $0 : 0 }, on: side)
            return matrix
        }
        var result = try Matrix<Double>(rows: matrix.rowCount, columns: matrix.columnCount)
        if side == .left {
            try result.addProduct(vectors, .transposed, matrix)
            try cholesky.solveTriangle(.transposed, &result, on: .left)
        } else {
            try result.addProduct(matrix, .none, vectors)
            try cholesky.solveTriangle(.none, &result, on: .right)
        }
        return result
    }
}
