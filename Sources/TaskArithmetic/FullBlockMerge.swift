public import KroneckerFactors
public import LinearAlgebra

/// Merges a one-dimensional parameter under the tasks' full blocks, in fp64:
/// δ = (F̄+γI)⁻¹ Σ λ_t (F_t+γI) δ_t with F̄ = Σ λ_t F_t and γ the damping of F̄.
///
/// It is computed as m + (F̄+γI)⁻¹ (Σ λ_t F_t δ_t − F̄ m) with the weighted mean m = Σ λ_t δ_t. This is the same
/// vector, but its sums do not contain γ. Elements without curvature in any task keep m.
public struct FullBlockMerge: ~Copyable, Sendable {
    /// Tasks added so far.
    public private(set) var taskCount = 0
    private var mean: Matrix<Double>
    private var weighted: Matrix<Double>
    private var blockSum: PackedSymmetricMatrix<Double>

    /// Empty sums for a parameter of `count` elements.
    /// - Throws: ``TaskArithmeticError/linearAlgebra(_:)`` for an impossible shape or short memory.
    public init(count: Int) throws(TaskArithmeticError) {
        let mean = try carryingErrors { () throws(LinearAlgebraError) in
            try Matrix<Double>(rows: 1, columns: count)
        }
        let weighted = try carryingErrors { () throws(LinearAlgebraError) in
            try Matrix<Double>(rows: 1, columns: count)
        }
        let blockSum = try carryingErrors { () throws(LinearAlgebraError) in
            try PackedSymmetricMatrix<Double>(dimension: count)
        }
        self.mean = mean
        self.weighted = weighted
        self.blockSum = blockSum
    }

    /// Adds one task: Σ λ_t F_t δ_t, Σ λ_t F_t, Σ λ_t δ_t.
    ///
    /// - Parameters:
    ///   - delta: δ_t, `[1, d]`.
    ///   - block: F_t, packed.
    ///   - lambda: λ_t; the λ of all tasks sum to 1.
    /// - Throws: ``TaskArithmeticError/weightNotFinite(name:value:)``, or ``TaskArithmeticError/linearAlgebra(_:)``
    ///   when the shapes differ from the parameter's; the sums are then unchanged.
    public mutating func add(
        delta: borrowing Matrix<Double>,
        block: borrowing PackedSymmetricMatrix<Float>,
        lambda: Double
    ) throws(TaskArithmeticError) {
        guard lambda.isFinite else { throw .weightNotFinite(name: "weight λ", value: lambda) }
        do {
            let square = try block.unpackedLower()
            // This call checks all shapes, so the next ones cannot fail.
            try weighted.addSymmetricProduct(square, on: .right, of: delta, scale: lambda)
            try blockSum.add(block, times: lambda)
            try mean.add(delta, times: lambda)
        } catch {
            throw .linearAlgebra(error)
        }
        taskCount += 1
    }

    /// Solves for δ.
    ///
    /// - Parameters:
    ///   - damping: Applied to Σ λ_t F_t, and so to every F_t.
    ///   - ladder: The steps when the block is still not positive definite.
    /// - Returns: δ, `[1, d]`, and the health of the block.
    /// - Throws: ``TaskArithmeticError/noTasks``, ``TaskArithmeticError/kroneckerFactors(_:)``, or
    ///   ``TaskArithmeticError/linearAlgebra(_:)`` when memory is short; the sums are consumed.
    public consuming func finish(
        damping: Damping,
        ladder: DampingLadder = .standard
    ) throws(TaskArithmeticError) -> MergedParameter {
        guard taskCount > 0 else { throw .noTasks }
        let amount = damping.amount(
            fullBlock: FactorScale(trace: blockSum.trace, dimension: blockSum.dimension)
        )
        try subtractMean()
        let health: FactorHealth
        do {
            let block = try DampedFactorization(of: blockSum, damping: amount, ladder: ladder)
            try block.solve(&weighted, on: .right)
            block.clearPinned(in: &weighted, on: .right)
            health = block.health
        } catch {
            throw .kroneckerFactors(error)
        }
        let norms = try MergedNorms(adding: weighted, to: &mean)
        return MergedParameter(delta: mean, health: health, norms: norms)
    }

    /// Subtracts F̄ m, which is not part of the change.
    private mutating func subtractMean() throws(TaskArithmeticError) {
        do {
            let square = try blockSum.unpackedLower()
            try weighted.addSymmetricProduct(square, on: .right, of: mean, scale: -1)
        } catch {
            throw .linearAlgebra(error)
        }
    }
}

/// One parameter's merged task vector.
public struct MergedParameter: ~Copyable, Sendable {
    /// δ, `[1, d]`.
    public let delta: Matrix<Double>
    /// The health of the inverted block.
    public let health: FactorHealth
    /// The norms of the merged vector and of the mean.
    public let norms: MergedNorms

    /// Returns the vector and consumes the result.
    public consuming func intoDelta() -> Matrix<Double> { delta }
}
