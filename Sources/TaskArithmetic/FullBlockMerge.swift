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
    private var sums: MeanAndChange
    private var blockSum: FactorSum

    /// Empty sums for a parameter of `count` elements.
    /// - Throws: ``TaskArithmeticError/linearAlgebra(_:)`` for an impossible shape or short memory.
    public init(count: Int) throws(TaskArithmeticError) {
        let sums = try MeanAndChange(rows: 1, columns: count)
        let blockSum = try FactorSum(shape: .full(count))
        self.sums = sums
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
            let factor = try block.operand()
            // This call checks all shapes, so the next ones cannot fail.
            try sums.add(factor, on: .right, of: delta, scale: lambda)
            try sums.add(delta, lambda: lambda)
        } catch {
            throw .linearAlgebra(error)
        }
        try blockSum.add(block, times: lambda)
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
    ) throws(TaskArithmeticError) -> MergedBlock {
        guard taskCount > 0 else { throw .noTasks }
        try sums.subtractMean(times: blockSum.matrix, on: .right)
        let block = try blockSum.factorized(damping: damping.amount(fullBlock: blockSum.scale), ladder: ladder)
        try sums.solve(block, on: .right)
        sums.clearPinned(block, on: .right)
        return try sums.finish(healths: [block.health])
    }
}
