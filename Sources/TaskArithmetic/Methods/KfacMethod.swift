public import LinearAlgebra

extension MergeMethod {
    /// Δ = (B̄+γ_B I)⁻¹ (Σ λ_t (B_t+γ_B I) w_t Δ_t (A_t+γ_A I)) (Ā+γ_A I)⁻¹: the closed form under accumulated Kronecker
    /// factors, damped on both sides.
    public static let kfac = MergeMethod(
        name: "kfac", paper: Paper("after Porrello et al. 2026", arXiv: "2602.17385"),
        formula: "θ₀ + α (B̄ + γ_B I)⁻¹ (Σ λ_t (B_t + γ_B I) w_t Δ_t (A_t + γ_A I)) (Ā + γ_A I)⁻¹",
        summary: "The closed-form minimiser of the drift of all tasks; where no task has curvature, the weighted mean.",
        parameters: [.weight, .normalize(default: false), .lambda], base: .whenListed,
        scope: .blocks(KfacMerge.self, others: WeightedSum.self))
}

/// The merge `kfac` of one block: of a layer by ``KroneckerMerge``, of a parameter by ``OneSidedMerge``.
public struct KfacMerge: StreamedComputation, ~Copyable {
    private let problem: MergeProblem
    private var means: KroneckerMeans?
    private var layer: KroneckerMerge?
    private var parameter: OneSidedMerge?
    private var isSummed = false

    /// Creates empty sums.
    ///
    /// - Throws: ``TaskArithmeticError/unexpectedOperands(_:)`` for a matrix without factors, or
    ///   ``TaskArithmeticError/linearAlgebra(_:)`` for an impossible shape or short memory.
    public init(_ problem: MergeProblem) throws(TaskArithmeticError) {
        self.problem = problem
        switch problem.shape {
        case .layer(let outputs, let inputs): means = try KroneckerMeans(outputs: outputs, inputs: inputs)
        case .parameter(let count): parameter = try OneSidedMerge(count: count)
        case .matrix: throw .unexpectedOperands("a matrix without factors")
        }
    }

    /// A layer's factors are read twice: for their means and for the products.
    ///
    /// This takes less time than a third product for each task, and less memory than three more sums.
    public var nextPass: MergePass? {
        if means != nil { return .factors }
        return isSummed ? nil : [.values, .factors]
    }

    /// Adds a task's factors to their means.
    ///
    /// - Throws: ``TaskArithmeticError/unexpectedOperands(_:)`` for factors that are not a layer's, or the errors of
    ///   the means.
    public mutating func addFactors(
        _ factors: borrowing TaskFactors, of model: MergedModel
    ) throws(TaskArithmeticError) {
        switch factors {
        case .layer(let factors): try means?.add(factors, lambda: model.lambda)
        case .parameter: throw .unexpectedOperands("the full block of a parameter for a layer")
        case .none: throw .unexpectedOperands("a layer without factors")
        }
    }

    /// Adds a task's products.
    ///
    /// - Throws: ``TaskArithmeticError/unexpectedOperands(_:)`` for factors that are not the block's, or the errors of
    ///   the sums.
    public mutating func add(
        _ values: consuming Matrix<Double>, factors: borrowing TaskFactors, of model: MergedModel
    ) throws(TaskArithmeticError) {
        values.multiply(by: model.weight)
        switch factors {
        case .layer(let factors):
            guard layer != nil else { throw .unexpectedOperands("the factors of a layer for a parameter") }
            try layer?.add(delta: values, factors)
        case .parameter(let block):
            guard parameter != nil else { throw .unexpectedOperands("the full block of a parameter for a layer") }
            try parameter?.add(delta: values, factor: block, lambda: model.lambda)
        case .none: throw .unexpectedOperands("a block without factors")
        }
    }

    /// After the pass over factors, factorizes the smaller mean of a layer; after the other pass, ends the sums.
    ///
    /// - Throws: The errors of ``KroneckerMerge/init(means:damping:ladder:)``.
    public mutating func endPass() throws(TaskArithmeticError) {
        guard let means = means.take() else {
            isSummed = true
            return
        }
        layer = try KroneckerMerge(means: means, damping: problem.damping)
    }

    /// Solves for Δ.
    ///
    /// - Throws: The errors of ``KroneckerMerge/finish()`` and ``OneSidedMerge/finish(damping:ladder:)``.
    public consuming func finish() throws(TaskArithmeticError) -> MergedBlock {
        if let layer = layer.take() { return try layer.finish() }
        guard let parameter = parameter.take() else { throw .noTasks }
        return try parameter.finish(damping: problem.damping)
    }

    /// The cost: two products for each task, two solves, and one more product, which counts as two at most.
    ///
    /// The peak of memory is during the products. It holds both means as fp64 triangles, the factorization of the
    /// smaller mean, the square of the current side and one task's factors. It also holds θ_0, a task vector, its
    /// product and three sums.
    public static func cost(of shape: MergeProblem.Shape, models: Int) -> MergeCost {
        let (rows, columns) = (Double(shape.rows), Double(shape.columns))
        let sides = shape.factors
        // Of a diagonal side, a product multiplies each element once.
        let widths = sides.map { $0.isDiagonal ? 1 : Double($0.dimension) }
        let squares = zip(sides, widths).reduce(0) { $0 + Double($1.0.dimension) * $1.1 }
        let products = rows * columns * widths.reduce(0, +)
        let packed = zip(sides, widths).reduce(0) { $0 + Double($1.0.dimension) * ($1.1 + 1) / 4 }
        return MergeCost(
            multiplyAdds: 2 * Double(models + 2) * products,
            numbers: squares + 3 * packed + 6 * rows * columns, factorPasses: sides.count, valuePasses: 1)
    }
}
