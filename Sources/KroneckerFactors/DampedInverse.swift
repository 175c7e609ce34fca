public import LinearAlgebra

/// The damped inverse (M + εI)⁻¹ of a stored factor, and how it came about.
///
/// Computed in fp64 (``DampedFactorization``), rounded once to fp32. The stored factor is never changed.
public struct DampedInverse: ~Copyable, Sendable {
    /// (M + εI)⁻¹, packed.
    public let inverse: PackedSymmetricMatrix<Float>
    /// What was found and done.
    public let health: FactorHealth

    /// Inverts M + εI.
    ///
    /// - Parameters:
    ///   - factor: M, packed. Not changed.
    ///   - damping: ε ≥ 0, from ``Damping/amount(side:)``.
    ///   - ladder: What to try when the factorisation fails.
    /// - Throws: ``KroneckerFactorsError/exceedsStorage(row:)`` when the inverse does not fit fp32, or what
    ///   ``DampedFactorization/init(of:damping:ladder:)`` throws.
    /// - Complexity: n³ multiply-adds an attempt that succeeds; n² fp64.
    public init(
        of factor: borrowing PackedSymmetricMatrix<Float>,
        damping: Double,
        ladder: DampingLadder = .standard
    ) throws(KroneckerFactorsError) {
        self = try Self.inverted(factor, damping: damping, ladder: ladder, condition: .suspectedOnly)
    }

    /// Gives the inverse away.
    public consuming func intoInverse() -> PackedSymmetricMatrix<Float> { inverse }

    private init(inverse: consuming PackedSymmetricMatrix<Float>, health: FactorHealth) {
        self.inverse = inverse
        self.health = health
    }

    private static func inverted(
        _ factor: borrowing PackedSymmetricMatrix<Float>,
        damping: Double,
        ladder: DampingLadder,
        condition: DampedFactorization.ConditionCheck
    ) throws(KroneckerFactorsError) -> DampedInverse {
        let factorization = try DampedFactorization(of: factor, damping: damping, ladder: ladder, condition: condition)
        var health = factorization.health
        let (scale, pinned, pinnedInverse) =
            (factorization.scale, factorization.pinned, factorization.pinnedInverse)
        var packed: PackedSymmetricMatrix<Float>
        do {
            let scaled = try scaledInverse(factorization.intoSolver(), condition: &health.conditionEstimate)
            packed = try PackedSymmetricMatrix(packing: scaled, times: 1 / scale)
        } catch {
            throw .linearAlgebra(error)
        }
        let limit = 1 / DampedFactorization.smallestReciprocalCondition(order: max(1, health.dimension))
        // The negation also catches a condition that is NaN.
        if condition == .suspectedOnly && !(health.conditionEstimate <= limit) {
            // The pivots deceived: climb the ladder again, on estimates.
            return try inverted(factor, damping: damping, ladder: ladder, condition: .estimated)
        }
        let freeTrace = pin(pinned, at: pinnedInverse, in: &packed)
        // An inverse is positive definite: no element is larger than the largest on the diagonal.
        if let row = packed.diagonal.firstIndex(where: { !$0.isFinite }) { throw .exceedsStorage(row: row) }
        let freeCount = Double(packed.dimension - pinned.count)
        let rank = (freeCount - health.damping * freeTrace).clampedToZero
        health.rankEstimate = rank > freeCount ? freeCount : rank
        return DampedInverse(inverse: packed, health: health)
    }

    /// The lower triangle of the inverse of the scaled matrix, and its condition number from both 1-norms.
    private static func scaledInverse(
        _ solver: consuming DampedFactorization.Solver,
        condition: inout Double
    ) throws(LinearAlgebraError) -> Matrix<Double> {
        switch consume solver {
        case .cholesky(let cholesky):
            let norm = cholesky.norm
            let inverse = try cholesky.inverse()
            condition = norm * inverse.symmetricOneNorm()
            return inverse
        case .eigen(let eigen):
            return try eigen.inverse()
        }
    }

    /// Writes the pinned coordinates' rows; returns the trace over the others.
    private static func pin(
        _ pinned: [Int],
        at value: Double,
        in inverse: inout PackedSymmetricMatrix<Float>
    ) -> Double {
        var freeTrace = inverse.trace
        for coordinate in pinned {
            freeTrace -= Double(inverse[coordinate, coordinate])
            for other in 0..<inverse.dimension { inverse[coordinate, other] = 0 }
            inverse[coordinate, coordinate] = Float(value)
        }
        return freeTrace
    }
}
