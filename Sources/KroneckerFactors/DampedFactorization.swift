public import LinearAlgebra

/// A symmetric factor M made invertible, (M + εI), and factorised for inversion or solving, in fp64.
///
/// M is scaled to unit mean diagonal and factorised by Cholesky. After a failure (a minor that is not positive, or a
/// condition beyond fp64) ε rises along the ladder. At the ladder's end the eigenvalues are clamped: max(λ, 0) + ε. The
/// stored factor is never changed.
///
/// A coordinate with a zero diagonal is pinned. A positive semi-definite M has only zeros in its row, so the coordinate
/// is decoupled from the others (elements left there by rounding are not read). There (M + εI)⁻¹ holds 1/ε with the
/// final ε. Without requested damping it holds 0, as the pseudo-inverse does, whatever the ladder does for the others.
///
/// A diagonal M is inverted element by element. Its eigenvalues are its elements, so nothing fails: only negative ones,
/// which no sum of squares has, are clamped.
public struct DampedFactorization: ~Copyable, Sendable {
    enum Solver: ~Copyable {
        /// The factor of the scaled, damped matrix.
        case cholesky(CholeskyFactor)
        /// The eigenvalues of the scaled matrix, clamped and damped.
        case eigen(ClampedEigen)
        /// The inverse of the scaled, damped diagonal.
        case diagonal([Double])
    }

    /// The findings and the remedy.
    public private(set) var health: FactorHealth
    let solver: Solver
    /// The divisor of M.
    let scale: Double
    let pinned: [Int]

    /// Factorises M + εI.
    ///
    /// - Parameters:
    ///   - factor: M, packed. Not changed.
    ///   - damping: ε ≥ 0.
    ///   - ladder: The steps when the factorisation fails.
    /// - Throws: ``KroneckerFactorsError/invalidDamping(value:)``, ``KroneckerFactorsError/factorNotFinite(row:)`` or
    ///   ``KroneckerFactorsError/linearAlgebra(_:)`` when memory is short.
    /// - Complexity: n³/3 multiply-adds an attempt; n² fp64. A diagonal takes n of each.
    public init<Scalar>(
        of factor: borrowing PackedSymmetricMatrix<Scalar>,
        damping: Double,
        ladder: DampingLadder = .standard
    ) throws(KroneckerFactorsError) {
        try self.init(of: factor, damping: damping, ladder: ladder, condition: .estimated)
    }

    /// When the condition is estimated before the factorisation is accepted.
    enum ConditionCheck {
        /// Always, from the triangular factor.
        case estimated
        /// Only when the pivots look suspicious; otherwise the caller computes it from the inverse.
        case suspectedOnly
    }

    /// The public form, with a choice for callers that compute the condition later anyway.
    init<Scalar>(
        of factor: borrowing PackedSymmetricMatrix<Scalar>,
        damping: Double,
        ladder: DampingLadder,
        condition: ConditionCheck
    ) throws(KroneckerFactorsError) {
        guard damping >= 0, damping.isFinite else { throw .invalidDamping(value: damping) }
        if let row = factor.firstNonFiniteRow() { throw .factorNotFinite(row: row) }
        let summary = DiagonalSummary(factor.diagonal.map(Double.init))
        var health = FactorHealth(
            dimension: factor.dimension, meanDiagonal: summary.mean, requestedDamping: damping,
            pinnedCount: summary.pinned.count)
        let scaled =
            factor.shape.isDiagonal
            ? Self.inverted(factor.diagonal.map(Double.init), ladder, summary: summary, health: &health)
            : try Self.climb(ladder, of: factor, summary: summary, condition: condition, health: &health)
        solver = scaled.solver
        scale = scaled.scale
        pinned = summary.pinned
        self.health = health
    }

    /// Rows and columns of M.
    public var dimension: Int { health.dimension }

    /// The diagonal element of (M + εI)⁻¹ for a pinned coordinate.
    var pinnedInverse: Double { health.requestedDamping > 0 ? 1 / health.damping : 0 }

    /// Consumes the factorisation and returns its parts.
    consuming func intoSolver() -> Solver { solver }
}

// MARK: - The ladder

extension DampedFactorization {
    private struct Scaled: ~Copyable {
        let solver: Solver
        let scale: Double
    }

    private static func climb<Scalar>(
        _ ladder: DampingLadder,
        of factor: borrowing PackedSymmetricMatrix<Scalar>,
        summary: DiagonalSummary,
        condition: ConditionCheck,
        health: inout FactorHealth
    ) throws(KroneckerFactorsError) -> Scaled {
        var next: Double? = health.requestedDamping
        while let damping = next {
            health.attempts += 1
            let scale = summary.scale(damping: damping)
            let matrix = try scaledLower(factor, damping: damping, scale: scale, pinned: summary.pinned)
            if let cholesky = try factorized(matrix, condition: condition, health: &health) {
                health.damping = damping
                return Scaled(solver: .cholesky(cholesky), scale: scale)
            }
            health.remedy = .raisedDamping
            next = ladder.step(after: damping, meanDiagonal: summary.meanMagnitude)
        }
        return try clamp(factor, summary: summary, ladder: ladder, health: &health)
    }

    /// The inverse of a diagonal.
    private static func inverted(
        _ diagonal: [Double], _ ladder: DampingLadder, summary: DiagonalSummary, health: inout FactorHealth
    ) -> Scaled {
        let isClamped = diagonal.contains { $0 < 0 }
        let least = isClamped ? ladder.firstStep * summary.meanMagnitude : 0
        let damping = max(health.requestedDamping, least)
        let scale = summary.scale(damping: damping)
        let damped = diagonal.map { $0 == 0 ? 1 : ($0.clampedToZero + damping) / scale }
        let free = zip(diagonal, damped).filter { $0.0 != 0 }.map(\.1)
        health.attempts = 1
        health.damping = damping
        health.remedy = isClamped ? .clampedEigenvalues : .none
        health.smallestEigenvalue = diagonal.smallest()
        health.largestEigenvalue = diagonal.largest()
        health.conditionEstimate = (free.largest() ?? 1) / (free.smallest() ?? 1)
        return Scaled(solver: .diagonal(damped.map { 1 / $0 }), scale: scale)
    }

    /// The Cholesky factor, or nil when none exists within fp64.
    private static func factorized(
        _ matrix: consuming Matrix<Double>,
        condition: ConditionCheck,
        health: inout FactorHealth
    ) throws(KroneckerFactorsError) -> CholeskyFactor? {
        let order = matrix.rowCount
        do {
            let cholesky = try CholeskyFactor(factorizing: matrix)
            if condition == .suspectedOnly && cholesky.pivotsSuggestGoodCondition() { return cholesky }
            let reciprocal = try cholesky.reciprocalConditionEstimate()
            guard reciprocal >= smallestReciprocalCondition(order: order) else { return nil }
            health.conditionEstimate = 1 / reciprocal
            return cholesky
        } catch .notPositiveDefinite {
            return nil
        } catch {
            throw .linearAlgebra(error)
        }
    }

    /// Below this limit the inverse's digits are only rounding errors.
    static func smallestReciprocalCondition(order: Int) -> Double { Double(order) * 0x1p-52 }

    /// The last resort: negative eigenvalues become zero; then the requested damping is added, or at least the ladder's
    /// first step.
    private static func clamp<Scalar>(
        _ factor: borrowing PackedSymmetricMatrix<Scalar>,
        summary: DiagonalSummary,
        ladder: DampingLadder,
        health: inout FactorHealth
    ) throws(KroneckerFactorsError) -> Scaled {
        let scale = summary.scale(damping: 0)
        let matrix = try scaledLower(factor, damping: 0, scale: scale, pinned: summary.pinned)
        let eigen: SymmetricEigen<Double>
        do {
            eigen = try SymmetricEigen(decomposing: matrix)
        } catch {
            throw .linearAlgebra(error)
        }
        let damping = max(health.requestedDamping, ladder.firstStep * summary.meanMagnitude)
        let damped = eigen.values.map { $0.clampedToZero + damping / scale }
        health.attempts += 1
        health.remedy = .clampedEigenvalues
        health.damping = damping
        health.smallestEigenvalue = eigen.values.first.map { $0 * scale }
        health.largestEigenvalue = eigen.values.last.map { $0 * scale }
        health.conditionEstimate = (damped.last ?? 1) / (damped.first ?? 1)
        let clamped = ClampedEigen(vectors: eigen.intoVectors(), reciprocals: damped.map { 1 / $0 })
        return Scaled(solver: .eigen(clamped), scale: scale)
    }

    /// The lower triangle of (M + εI)/scale, with ones for the pinned coordinates.
    private static func scaledLower<Scalar>(
        _ factor: borrowing PackedSymmetricMatrix<Scalar>,
        damping: Double,
        scale: Double,
        pinned: [Int]
    ) throws(KroneckerFactorsError) -> Matrix<Double> {
        var matrix: Matrix<Double>
        do {
            matrix = try factor.unpackedLower(times: 1 / scale)
        } catch {
            throw .linearAlgebra(error)
        }
        for coordinate in 0..<matrix.rowCount { matrix[coordinate, coordinate] += damping / scale }
        for coordinate in pinned {
            for column in 0..<coordinate { matrix[coordinate, column] = 0 }
            for row in coordinate..<matrix.rowCount { matrix[row, coordinate] = row == coordinate ? 1 : 0 }
        }
        return matrix
    }
}

/// Facts about the diagonal, computed before factorisation.
struct DiagonalSummary {
    let pinned: [Int]
    /// The mean over all coordinates.
    let mean: Double
    /// The mean magnitude over coordinates that are not pinned.
    ///
    /// It is the mean diagonal of the factorised matrix, and is a usable scale even for a matrix that is not a factor.
    let meanMagnitude: Double

    init(_ diagonal: [Double]) {
        pinned = diagonal.indices.filter { diagonal[$0] == 0 }
        mean = diagonal.isEmpty ? 0 : diagonal.reduce(0, +) / Double(diagonal.count)
        let magnitudes = diagonal.reduce(0) { $0 + $1.magnitude }
        let freeCount = diagonal.count - pinned.count
        meanMagnitude = freeCount > 0 ? magnitudes / Double(freeCount) : 0
    }

    func scale(damping: Double) -> Double {
        let sum = meanMagnitude + damping
        return sum > 0 && (1 / sum).isFinite && sum.isFinite ? sum : 1
    }
}
