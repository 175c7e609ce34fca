public import KroneckerFactors
public import LinearAlgebra

/// Merges one layer's task vectors in closed form under their Kronecker factors, streaming over the tasks.
///
/// Δ = B̄⁻¹ (Σ λ_t B_t Δ_t A_t) Ā⁻¹ with B̄ = 1/T Σ B_t and Ā = Σ λ_t A_t minimises
/// Σ λ_t tr(B_t(Δ − Δ_t)A_t(Δ − Δ_t)ᵀ) under eq. 8's accumulation. Tasks that live in disjoint subspaces keep their
/// full vectors as the damping goes to 0; identical factors give the weighted mean. All in fp64.
public struct KroneckerMerge: ~Copyable, Sendable {
    /// Tasks added so far.
    public private(set) var taskCount = 0
    private var weighted: Matrix<Double>
    private var inputSum: PackedSymmetricMatrix<Double>
    private var gradientSum: PackedSymmetricMatrix<Double>

    /// Empty sums for one layer.
    ///
    /// - Parameters:
    ///   - outputCount: d_out.
    ///   - inputCount: d_in, or d_in + 1 with the bias last.
    /// - Throws: ``TaskArithmeticError/linearAlgebra(_:)`` for an impossible shape or short memory.
    public init(outputCount: Int, inputCount: Int) throws(TaskArithmeticError) {
        let weighted = try carryingErrors { () throws(LinearAlgebraError) in
            try Matrix<Double>(rows: outputCount, columns: inputCount)
        }
        let inputSum = try carryingErrors { () throws(LinearAlgebraError) in
            try PackedSymmetricMatrix<Double>(dimension: inputCount)
        }
        let gradientSum = try carryingErrors { () throws(LinearAlgebraError) in
            try PackedSymmetricMatrix<Double>(dimension: outputCount)
        }
        self.weighted = weighted
        self.inputSum = inputSum
        self.gradientSum = gradientSum
    }

    /// Adds one task: Σ λ_t B_t Δ_t A_t, Σ B_t, Σ λ_t A_t.
    ///
    /// - Parameters:
    ///   - delta: Δ_t = [ΔW, Δb], `[d_out, d_in(+1)]`.
    ///   - inputFactor: A_t, packed.
    ///   - gradientFactor: B_t, packed.
    ///   - lambda: λ_t; the λ of all tasks sum to 1.
    /// - Throws: ``TaskArithmeticError/weightNotFinite(name:value:)``, or ``TaskArithmeticError/linearAlgebra(_:)``
    ///   when the shapes differ from the layer's or memory is short; the sums are then unchanged.
    /// - Complexity: d_out·d_in·(d_out + d_in) multiply-adds; d_out² + d_in² + 2·d_out·d_in fp64.
    public mutating func add(
        delta: borrowing Matrix<Double>,
        inputFactor: borrowing PackedSymmetricMatrix<Float>,
        gradientFactor: borrowing PackedSymmetricMatrix<Float>,
        lambda: Double
    ) throws(TaskArithmeticError) {
        guard lambda.isFinite else { throw .weightNotFinite(name: "weight λ", value: lambda) }
        do {
            let gradient = try gradientFactor.unpackedLower()
            let input = try inputFactor.unpackedLower()
            var left = try Matrix<Double>(rows: delta.rowCount, columns: delta.columnCount)
            try left.addSymmetricProduct(gradient, on: .left, of: delta, scale: lambda)
            // The last step that can fail comes first: it checks the shapes against the sums'.
            try weighted.addSymmetricProduct(input, on: .right, of: left)
            try inputSum.add(inputFactor, times: lambda)
            try gradientSum.add(gradientFactor, times: 1)
        } catch {
            throw .linearAlgebra(error)
        }
        taskCount += 1
    }

    /// Solves for Δ.
    ///
    /// - Parameters:
    ///   - damping: Applied to Ā and B̄.
    ///   - ladder: What to try when a side is still not positive definite.
    /// - Returns: Δ with the health of both sides.
    /// - Throws: ``TaskArithmeticError/noTasks``, ``TaskArithmeticError/kroneckerFactors(_:)``; the sums are gone.
    /// - Complexity: (d_out³ + d_in³)/3 + d_out·d_in·(d_out + d_in) multiply-adds.
    public consuming func finish(
        damping: Damping,
        ladder: DampingLadder = .standard
    ) throws(TaskArithmeticError) -> MergedLayer {
        guard taskCount > 0 else { throw .noTasks }
        gradientSum.multiply(by: 1 / Double(taskCount))
        let amounts = damping.amounts(
            input: FactorScale(trace: inputSum.trace, dimension: inputSum.dimension),
            gradient: FactorScale(trace: gradientSum.trace, dimension: gradientSum.dimension)
        )
        do {
            let input = try DampedFactorization(of: inputSum, damping: amounts.input, ladder: ladder)
            try input.solve(&weighted, on: .right)
            let gradient = try DampedFactorization(of: gradientSum, damping: amounts.gradient, ladder: ladder)
            try gradient.solve(&weighted, on: .left)
            return MergedLayer(delta: weighted, inputHealth: input.health, gradientHealth: gradient.health)
        } catch {
            throw .kroneckerFactors(error)
        }
    }
}

/// One layer's merged task vector.
public struct MergedLayer: ~Copyable, Sendable {
    /// Δ = [ΔW, Δb], `[d_out, d_in(+1)]`.
    public let delta: Matrix<Double>
    /// How inverting Ā went.
    public let inputHealth: FactorHealth
    /// How inverting B̄ went.
    public let gradientHealth: FactorHealth

    /// Gives the vector away.
    public consuming func intoDelta() -> Matrix<Double> { delta }
}
