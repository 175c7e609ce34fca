public import KroneckerFactors
public import LinearAlgebra

/// Merges one layer's task vectors in closed form under their Kronecker factors.
///
/// It streams over the tasks twice: first for the means of the factors (``KroneckerMeans``), then for the products.
///
/// Δ = (B̄+γ_B I)⁻¹ (Σ λ_t (B_t+γ_B I) Δ_t (A_t+γ_A I)) (Ā+γ_A I)⁻¹, with γ_A and γ_B the damping of Ā and B̄. It
/// minimises Σ λ_t tr(B_t(Δ − Δ_t)A_t(Δ − Δ_t)ᵀ) under eq. 8's accumulation. It is computed as a difference from the
/// weighted mean M = Σ λ_t Δ_t. Let X be the smaller side and Y the other (here on the right); hats mark damped means:
///
///     Δ = M + X̂⁻¹ (V + W Ŷ⁻¹),   V = Σ λ_t (X_t+γ_X I) Δ_t − X̂ M,   W = Σ λ_t (X_t+γ_X I) Δ_t (Y_t − Ȳ)
///
/// This is the same matrix, with three consequences. The numerator has the damping of the denominators, wherever the
/// ladder ends: γ_X is final before the products, and γ_Y does not occur in them. Equal factors give exactly M. A
/// coordinate without curvature in any task (a dead input, a dead output, a side of zeros) keeps M under any damping,
/// including none. All arithmetic is fp64.
public struct KroneckerMerge: ~Copyable, Sendable {
    private let lambdas: [Double]
    private let damping: Damping
    private let ladder: DampingLadder
    private let means: KroneckerMeans.Sides
    /// X̂, factorised before the products.
    ///
    /// It is the smaller side, so its triangle is the cheaper one to keep.
    private let near: DampedFactorization
    private var addedCount = 0
    /// M, and Σ λ_t (X_t+γ_X I) Δ_t.
    private var sums: MeanAndChange
    /// W.
    private var farSum: Matrix<Double>

    /// Begins the products.
    ///
    /// - Parameters:
    ///   - means: The means over all tasks.
    ///   - damping: Applied to Ā and B̄, and so to every A_t and B_t.
    ///   - ladder: The steps when a side is still not positive definite.
    /// - Throws: ``TaskArithmeticError/noTasks``, ``TaskArithmeticError/kroneckerFactors(_:)``, or
    ///   ``TaskArithmeticError/linearAlgebra(_:)`` when memory is short; the means are consumed.
    /// - Complexity: min(d_out, d_in)³/3 multiply-adds.
    public init(
        means: consuming KroneckerMeans,
        damping: Damping,
        ladder: DampingLadder = .standard
    ) throws(TaskArithmeticError) {
        let lambdas = means.lambdas
        let sides = try means.intoSides()
        let (rows, columns) = (sides.outputCount, sides.inputCount)
        let near = try sides.near.factorized(damping: damping.amount(side: sides.near.scale), ladder: ladder)
        let sums = try MeanAndChange(rows: rows, columns: columns)
        let farSum = try Matrix<Double>.zeros(rows, columns)
        self.lambdas = lambdas
        self.damping = damping
        self.ladder = ladder
        self.means = sides
        self.near = near
        self.sums = sums
        self.farSum = farSum
    }

    /// Adds one task's products.
    ///
    /// - Parameters:
    ///   - delta: Δ_t = [ΔW, Δb], `[d_out, d_in(+1)]`.
    ///   - factors: A_t and B_t, in the same order of tasks as for the means.
    /// - Throws: ``TaskArithmeticError/linearAlgebra(_:)`` when the shapes differ from the layer's or memory is short;
    ///   the sums are then invalid.
    /// - Complexity: d_out·d_in·(d_out + d_in) multiply-adds, of a diagonal side only d_out·d_in;
    ///   max(d_out, d_in)² + d_out·d_in fp64.
    public mutating func add(
        delta: borrowing Matrix<Double>,
        _ factors: borrowing LayerFactors
    ) throws(TaskArithmeticError) {
        precondition(addedCount < lambdas.count, "a merge whose means are of \(lambdas.count) tasks got another one")
        let lambda = lambdas[addedCount]
        do {
            switch means.nearSide {
            case .left: try add(delta, near: factors.gradient, far: factors.input, lambda)
            case .right: try add(delta, near: factors.input, far: factors.gradient, lambda)
            }
        } catch {
            throw .linearAlgebra(error)
        }
        addedCount += 1
    }

    private mutating func add(
        _ delta: borrowing Matrix<Double>, near nearFactor: borrowing TaskFactor,
        far farFactor: borrowing TaskFactor, _ lambda: Double
    ) throws(LinearAlgebraError) {
        let product = try nearProduct(delta, nearFactor, lambda)
        let deviation = try farFactor.operand(minus: means.far.matrix)
        try farSum.addSymmetricProduct(deviation, on: means.farSide, of: product)
        try sums.add(change: product)
        try sums.add(delta, lambda: lambda)
    }

    /// λ_t (X_t+γ_X I) Δ_t.
    private func nearProduct(
        _ delta: borrowing Matrix<Double>, _ factor: borrowing TaskFactor, _ lambda: Double
    ) throws(LinearAlgebraError) -> Matrix<Double> {
        var damped = try factor.operand()
        damped.addToDiagonal(near.health.damping)
        var product = try Matrix<Double>(rows: delta.rowCount, columns: delta.columnCount)
        try product.addSymmetricProduct(damped, on: means.nearSide, of: delta, scale: lambda)
        return product
    }

    /// Solves for Δ.
    ///
    /// - Returns: Δ = [ΔW, Δb], `[d_out, d_in(+1)]`, with the health of Ā and B̄.
    /// - Throws: ``TaskArithmeticError/kroneckerFactors(_:)``, or ``TaskArithmeticError/linearAlgebra(_:)`` when memory
    ///   is short; the sums are consumed.
    /// - Complexity: max(d_out, d_in)³/3 + d_out·d_in·(d_out + d_in + min(d_out, d_in)) multiply-adds.
    public consuming func finish() throws(TaskArithmeticError) -> MergedBlock {
        precondition(addedCount == lambdas.count, "a merge of \(lambdas.count) tasks got \(addedCount) of them")
        // The sum becomes V.
        try sums.subtractMean(times: means.near.matrix, damping: near.health.damping, on: means.nearSide)
        let far = try means.far.factorized(damping: damping.amount(side: means.far.scale), ladder: ladder)
        try farSum.solve(far, on: means.farSide)
        do {
            try sums.add(change: farSum)
        } catch {
            throw .linearAlgebra(error)
        }
        try sums.solve(near, on: means.nearSide)
        sums.clearPinned(near, on: means.nearSide)
        sums.clearPinned(far, on: means.farSide)
        let isNearLeft = means.nearSide == .left
        return try sums.finish(healths: isNearLeft ? [far.health, near.health] : [near.health, far.health])
    }
}
