public import LinearAlgebra

/// The damped inverse (M + εI)⁻¹ of a stored factor, and the health of the factor.
///
/// It is computed in fp64 (``DampedFactorization``) and rounded once to fp32. The stored factor is never changed.
public struct DampedInverse: ~Copyable, Sendable {
    /// (M + εI)⁻¹, packed.
    public let inverse: PackedSymmetricMatrix<Float>
    /// The findings and the remedy.
    public let health: FactorHealth

    /// Inverts M + εI.
    ///
    /// - Parameters:
    ///   - factor: M, packed. Not changed.
    ///   - damping: ε ≥ 0, from ``Damping/amount(side:)``.
    ///   - ladder: The steps when the factorisation fails.
    /// - Throws: ``KroneckerFactorsError/exceedsStorage(row:)`` when the inverse does not fit in fp32, or any error of
    ///   ``DampedFactorization/init(of:damping:ladder:)``.
    /// - Complexity: n³ multiply-adds for the successful attempt; n² fp64. A diagonal takes n of each.
    public init(
        of factor: borrowing PackedSymmetricMatrix<Float>,
        damping: Double,
        ladder: DampingLadder = .standard
    ) throws(KroneckerFactorsError) {
        self = try Self.inverted(factor, damping: damping, ladder: ladder, condition: .suspectedOnly)
    }

    /// Returns the inverse and consumes the result.
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
            packed = try inverse(factorization.intoSolver(), scale: scale, condition: &health.conditionEstimate)
        } catch {
            throw .linearAlgebra(error)
        }
        let limit = 1 / DampedFactorization.smallestReciprocalCondition(order: max(1, health.dimension))
        // The negation also catches a NaN condition.
        if !factor.shape.isDiagonal && condition == .suspectedOnly && !(health.conditionEstimate <= limit) {
            // The pivots were misleading; climb the ladder again with estimates.
            return try inverted(factor, damping: damping, ladder: ladder, condition: .estimated)
        }
        let freeTrace = pin(pinned, at: pinnedInverse, in: &packed)
        // An inverse is positive definite, so no element is larger than the largest diagonal element.
        if let row = packed.diagonal.firstIndex(where: { !$0.isFinite }) { throw .exceedsStorage(row: row) }
        let freeCount = Double(packed.dimension - pinned.count)
        let rank = (freeCount - health.damping * freeTrace).clampedToZero
        health.rankEstimate = rank > freeCount ? freeCount : rank
        return DampedInverse(inverse: packed, health: health)
    }

    /// The inverse, without the scale; of a Cholesky factor also the condition number from both 1-norms.
    private static func inverse(
        _ solver: consuming DampedFactorization.Solver,
        scale: Double,
        condition: inout Double
    ) throws(LinearAlgebraError) -> PackedSymmetricMatrix<Float> {
        switch consume solver {
        case .cholesky(let cholesky):
            let norm = cholesky.norm
            let inverse = try cholesky.inverse()
            condition = norm * inverse.symmetricOneNorm()
            return try PackedSymmetricMatrix(packing: inverse, times: 1 / scale)
        case .eigen(let eigen):
            return try PackedSymmetricMatrix(packing: eigen.inverse(), times: 1 / scale)
        case .diagonal(let inverse):
            return try PackedSymmetricMatrix(
                shape: .diagonal(inverse.count), elements: inverse.map { Float($0 * (1 / scale)) })
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
            if !inverse.shape.isDiagonal { for other in 0..<inverse.dimension { inverse[coordinate, other] = 0 } }
            inverse[coordinate, coordinate] = Float(value)
        }
        return freeTrace
    }
}
