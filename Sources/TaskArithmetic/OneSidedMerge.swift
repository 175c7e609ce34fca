public import KroneckerFactors
public import LinearAlgebra

/// Merges vectors, or the rows of matrices, under the tasks' factors of one side, in fp64:
/// Δ = (Σ λ_t Δ_t (F_t+γI)) (F̄+γI)⁻¹ with F̄ = Σ λ_t F_t and γ the damping of F̄.
///
/// F_t is the full block of a parameter, whose Δ_t has one row, or the factor A of a layer, whose rows are independent.
/// Δ is computed as M + (Σ λ_t Δ_t F_t − M F̄) (F̄+γI)⁻¹ with the weighted mean M = Σ λ_t Δ_t. This is the same matrix,
/// but its sums do not contain γ. Columns without curvature in any task keep M.
public struct OneSidedMerge: ~Copyable, Sendable {
    /// Tasks added so far.
    public private(set) var taskCount = 0
    private let isFullBlock: Bool
    private let offDiagonalShare: Double
    private var sums: MeanAndChange
    private var factorSum: FactorSum

    /// Empty sums for a parameter of `count` elements with full blocks.
    /// - Throws: ``TaskArithmeticError/linearAlgebra(_:)`` for an impossible shape or short memory.
    public init(count: Int) throws(TaskArithmeticError) {
        try self.init(rows: 1, factor: .full(count), isFullBlock: true, offDiagonalShare: 1)
    }

    /// Empty sums for a layer under its factors A.
    ///
    /// - Parameters:
    ///   - rows: d_out.
    ///   - inputs: The shape of A.
    ///   - offDiagonalShare: The number by which elements of A off the diagonal are multiplied.
    /// - Throws: ``TaskArithmeticError/linearAlgebra(_:)`` for an impossible shape or short memory.
    public init(rows: Int, inputs: SymmetricShape, offDiagonalShare: Double = 1) throws(TaskArithmeticError) {
        try self.init(rows: rows, factor: inputs, isFullBlock: false, offDiagonalShare: offDiagonalShare)
    }

    private init(
        rows: Int, factor: SymmetricShape, isFullBlock: Bool, offDiagonalShare: Double
    ) throws(TaskArithmeticError) {
        let sums = try MeanAndChange(rows: rows, columns: factor.dimension)
        let factorSum = try FactorSum(shape: factor)
        self.isFullBlock = isFullBlock
        self.offDiagonalShare = offDiagonalShare
        self.sums = sums
        self.factorSum = factorSum
    }

    /// Adds one task: Σ λ_t Δ_t F_t, Σ λ_t F_t, Σ λ_t Δ_t.
    ///
    /// - Parameters:
    ///   - delta: Δ_t, `[1, d]` of a parameter, `[d_out, d_in(+1)]` of a layer.
    ///   - factor: F_t, packed.
    ///   - lambda: λ_t; the λ of all tasks sum to 1.
    /// - Throws: ``TaskArithmeticError/weightNotFinite(name:value:)``, or ``TaskArithmeticError/linearAlgebra(_:)``
    ///   when the shapes differ from the sums'; these are then unchanged.
    public mutating func add(
        delta: borrowing Matrix<Double>,
        factor: borrowing TaskFactor,
        lambda: Double
    ) throws(TaskArithmeticError) {
        guard lambda.isFinite else { throw .weightNotFinite(name: "weight λ", value: lambda) }
        do {
            var operand = try factor.operand()
            if offDiagonalShare != 1 { operand.multiplyOffDiagonal(by: offDiagonalShare) }
            // This call checks all shapes, so the next ones cannot fail.
            try sums.add(operand, on: .right, of: delta, scale: lambda)
            try sums.add(delta, lambda: lambda)
        } catch {
            throw .linearAlgebra(error)
        }
        try factorSum.add(factor, times: lambda)
        taskCount += 1
    }

    /// Solves for Δ.
    ///
    /// - Parameters:
    ///   - damping: Applied to Σ λ_t F_t, and so to every F_t.
    ///   - ladder: The steps when the sum is still not positive definite.
    /// - Returns: Δ, of the shape of Δ_t, and the health of the sum.
    /// - Throws: ``TaskArithmeticError/noTasks``, ``TaskArithmeticError/kroneckerFactors(_:)``, or
    ///   ``TaskArithmeticError/linearAlgebra(_:)`` when memory is short; the sums are consumed.
    public consuming func finish(
        damping: Damping,
        ladder: DampingLadder = .standard
    ) throws(TaskArithmeticError) -> MergedBlock {
        guard taskCount > 0 else { throw .noTasks }
        if offDiagonalShare != 1 { factorSum.multiplyOffDiagonal(by: offDiagonalShare) }
        try sums.subtractMean(times: factorSum.matrix, on: .right)
        let amount =
            isFullBlock ? damping.amount(fullBlock: factorSum.scale) : damping.amount(side: factorSum.scale)
        let factor = try factorSum.factorized(damping: amount, ladder: ladder)
        try sums.solve(factor, on: .right)
        sums.clearPinned(factor, on: .right)
        return try sums.finish(healths: [factor.health])
    }
}
