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
    /// M.
    private var mean: Matrix<Double>
    /// Σ λ_t (X_t+γ_X I) Δ_t.
    private var nearSum: Matrix<Double>
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
        let near = try Self.factorized(sides.near, damping, ladder)
        let mean = try Self.zeros(rows, columns)
        let nearSum = try Self.zeros(rows, columns)
        let farSum = try Self.zeros(rows, columns)
        self.lambdas = lambdas
        self.damping = damping
        self.ladder = ladder
        self.means = sides
        self.near = near
        self.mean = mean
        self.nearSum = nearSum
        self.farSum = farSum
    }

    /// Adds one task's products.
    ///
    /// - Parameters:
    ///   - delta: Δ_t = [ΔW, Δb], `[d_out, d_in(+1)]`.
    ///   - inputFactor: A_t, packed.
    ///   - gradientFactor: B_t, packed. Both factors must equal those added to the means, in the same order of tasks.
    /// - Throws: ``TaskArithmeticError/linearAlgebra(_:)`` when the shapes differ from the layer's or memory is short;
    ///   the sums are then invalid.
    /// - Complexity: d_out·d_in·(d_out + d_in) multiply-adds; max(d_out, d_in)² + d_out·d_in fp64.
    public mutating func add(
        delta: borrowing Matrix<Double>,
        inputFactor: borrowing PackedSymmetricMatrix<Float>,
        gradientFactor: borrowing PackedSymmetricMatrix<Float>
    ) throws(TaskArithmeticError) {
        precondition(addedCount < lambdas.count, "a merge whose means are of \(lambdas.count) tasks got another one")
        let lambda = lambdas[addedCount]
        do {
            switch means.nearSide {
            case .left: try add(delta, near: gradientFactor, far: inputFactor, lambda)
            case .right: try add(delta, near: inputFactor, far: gradientFactor, lambda)
            }
        } catch {
            throw .linearAlgebra(error)
        }
        addedCount += 1
    }

    private mutating func add(
        _ delta: borrowing Matrix<Double>, near nearFactor: borrowing PackedSymmetricMatrix<Float>,
        far farFactor: borrowing PackedSymmetricMatrix<Float>, _ lambda: Double
    ) throws(LinearAlgebraError) {
        let product = try nearProduct(delta, nearFactor, lambda)
        let deviation = try farFactor.unpackedLower(minus: means.far)
        try farSum.addSymmetricProduct(deviation, on: means.farSide, of: product)
        try nearSum.add(product)
        try mean.add(delta, times: lambda)
    }

    /// λ_t (X_t+γ_X I) Δ_t.
    private func nearProduct(
        _ delta: borrowing Matrix<Double>, _ factor: borrowing PackedSymmetricMatrix<Float>, _ lambda: Double
    ) throws(LinearAlgebraError) -> Matrix<Double> {
        var damped = try factor.unpackedLower()
        damped.addToDiagonal(near.health.damping)
        var product = try Matrix<Double>(rows: delta.rowCount, columns: delta.columnCount)
        try product.addSymmetricProduct(damped, on: means.nearSide, of: delta, scale: lambda)
        return product
    }

    /// Solves for Δ.
    ///
    /// - Returns: Δ and the health of both sides.
    /// - Throws: ``TaskArithmeticError/kroneckerFactors(_:)``, or ``TaskArithmeticError/linearAlgebra(_:)`` when memory
    ///   is short; the sums are consumed.
    /// - Complexity: max(d_out, d_in)³/3 + d_out·d_in·(d_out + d_in + min(d_out, d_in)) multiply-adds.
    public consuming func finish() throws(TaskArithmeticError) -> MergedLayer {
        precondition(addedCount == lambdas.count, "a merge of \(lambdas.count) tasks got \(addedCount) of them")
        try subtractMean()
        let far = try Self.factorized(means.far, damping, ladder)
        try Self.solve(&farSum, far, on: means.farSide)
        try carryingErrors { () throws(LinearAlgebraError) in try nearSum.add(farSum) }
        try Self.solve(&nearSum, near, on: means.nearSide)
        near.clearPinned(in: &nearSum, on: means.nearSide)
        far.clearPinned(in: &nearSum, on: means.farSide)
        let norms = try MergedNorms(adding: nearSum, to: &mean)
        let isNearLeft = means.nearSide == .left
        return MergedLayer(
            delta: mean, inputHealth: isNearLeft ? far.health : near.health,
            gradientHealth: isNearLeft ? near.health : far.health, norms: norms)
    }

    private static func solve(
        _ matrix: inout Matrix<Double>, _ factor: borrowing DampedFactorization, on side: ProductSide
    ) throws(TaskArithmeticError) {
        do {
            try factor.solve(&matrix, on: side)
        } catch {
            throw .kroneckerFactors(error)
        }
    }

    /// Turns ``nearSum`` into V.
    private mutating func subtractMean() throws(TaskArithmeticError) {
        do {
            var damped = try means.near.unpackedLower()
            damped.addToDiagonal(near.health.damping)
            try nearSum.addSymmetricProduct(damped, on: means.nearSide, of: mean, scale: -1)
        } catch {
            throw .linearAlgebra(error)
        }
    }

    private static func factorized(
        _ factor: borrowing PackedSymmetricMatrix<Double>, _ damping: Damping, _ ladder: DampingLadder
    ) throws(TaskArithmeticError) -> DampedFactorization {
        let amount = damping.amount(side: FactorScale(trace: factor.trace, dimension: factor.dimension))
        do {
            return try DampedFactorization(of: factor, damping: amount, ladder: ladder)
        } catch {
            throw .kroneckerFactors(error)
        }
    }

    private static func zeros(_ rows: Int, _ columns: Int) throws(TaskArithmeticError) -> Matrix<Double> {
        try carryingErrors { () throws(LinearAlgebraError) in try Matrix<Double>(rows: rows, columns: columns) }
    }
}

/// One layer's merged task vector.
public struct MergedLayer: ~Copyable, Sendable {
    /// Δ = [ΔW, Δb], `[d_out, d_in(+1)]`.
    public let delta: Matrix<Double>
    /// The health of the inverted Ā.
    public let inputHealth: FactorHealth
    /// The health of the inverted B̄.
    public let gradientHealth: FactorHealth
    /// The norms of the merged vector and of the mean.
    public let norms: MergedNorms

    /// Returns the vector and consumes the result.
    public consuming func intoDelta() -> Matrix<Double> { delta }
}
