public import LinearAlgebra

extension MergeMethod {
    /// The minimiser of Σ λ_t tr(B_t(Δ − w_tΔ_t)A_t(Δ − w_tΔ_t)ᵀ), without accumulated factors.
    public static let kfacExact = MergeMethod(
        name: "kfac_exact", paper: Paper("Tam et al. 2023", arXiv: "2312.04339"),
        formula: "θ₀ + α Δ, Σ λ_t B_t Δ A_t = Σ λ_t B_t w_t Δ_t A_t",
        summary: "kfac without accumulated factors: conjugate gradients, preconditioned by kfac's inverses. With joint "
            + "rows in place of the factors, all layers are one system.",
        parameters: [
            .weight, .normalize(default: false), .lambda, .mergedCurvature, .ridge(default: 0), .residualTolerance,
            .iterationBound,
        ], base: .whenListed,
        scope: .blocks(KfacExactMerge.self, others: WeightedSum.self))
}

extension MergeParameter {
    /// The curvature whose drift is least: that of each block's factors, or of all blocks' joint rows and their floor.
    public static let mergedCurvature = MergeParameter(
        "curvature", .word(["factors", jointRowsWord]), default: .value(.word("factors")), level: .job,
        variesByTensor: false,
        meaning: "curvature of the drift: each layer's factors, or the joint rows of all layers with their floor, "
            + "which need the form pseudo_rows")

    /// The value of ``mergedCurvature`` that takes joint rows.
    public static let jointRowsWord = "joint_rows"

    /// The most steps of the iteration over all blocks, if the job does not say; each is planned as units.
    public static let jointIterations = 30

    /// The residual at which the iteration stops.
    public static let residualTolerance = MergeParameter(
        "tolerance", .number(.between(0, 1)), default: .value(.number(1e-6)), level: .job, variesByTensor: true,
        meaning: "norm of what the equations may lack, as a share of their right side")

    /// The most steps of the iteration.
    public static let iterationBound = MergeParameter(
        "iterations", .count(0...100_000), default: .value(.count(1000)), level: .job, variesByTensor: false,
        meaning: "most steps of the iteration; each reads the factors of all models. With joint rows the default is "
            + "\(jointIterations)")
}

/// The merge `kfac_exact` of one block: of a layer by ``KroneckerConjugateGradient``, of a parameter as `kfac` does it,
/// where the closed form is exact.
public struct KfacExactMerge: StreamedComputation, ~Copyable {
    private let problem: MergeProblem
    private var means: KroneckerMeans?
    private var layer: KroneckerConjugateGradient?
    private var parameter: OneSidedMerge?
    /// The factors for their means; then the vectors; then the factors once for each step.
    public private(set) var nextPass: MergePass?
    /// Σ λ_t b̄_t ā_t of the mean eigenvalues.
    private var meanCurvature = 0.0

    /// Creates empty sums.
    ///
    /// - Throws: ``TaskArithmeticError/unexpectedOperands(_:)`` for a matrix without factors, or
    ///   ``TaskArithmeticError/linearAlgebra(_:)`` for an impossible shape or short memory.
    public init(_ problem: MergeProblem) throws(TaskArithmeticError) {
        self.problem = problem
        switch problem.shape {
        case .layer(let outputs, let inputs):
            means = try KroneckerMeans(outputs: outputs, inputs: inputs)
            nextPass = .factors
        case .parameter(let count):
            parameter = try OneSidedMerge(count: count)
            nextPass = [.values, .factors]
        case .matrix: throw .unexpectedOperands("a matrix without factors")
        }
    }

    /// Adds a task's factors to their means, or its products to a step.
    /// - Throws: ``TaskArithmeticError/unexpectedOperands(_:)`` for factors that are not a layer's, or the errors of
    ///   the sums.
    public mutating func addFactors(
        _ factors: borrowing TaskFactors, of model: MergedModel
    ) throws(TaskArithmeticError) {
        switch factors {
        case .layer(let factors):
            guard means == nil else {
                let size = Double(max(1, factors.input.dimension)) * Double(max(1, factors.gradient.dimension))
                meanCurvature += model.lambda * factors.input.trace * factors.gradient.trace / size
                try means?.add(factors, lambda: model.lambda)
                return
            }
            try layer?.addProduct(factors, lambda: model.lambda)
        case .parameter: throw .unexpectedOperands("the full block of a parameter for a layer")
        case .none: throw .unexpectedOperands("a layer without factors")
        }
    }

    /// Adds a task's vector.
    /// - Throws: ``TaskArithmeticError/unexpectedOperands(_:)`` for factors that are not the block's, or the errors of
    ///   the sums.
    public mutating func add(
        _ values: consuming Matrix<Double>, factors: borrowing TaskFactors, of model: MergedModel
    ) throws(TaskArithmeticError) {
        values.multiply(by: model.weight)
        switch factors {
        case .layer(let factors):
            guard layer != nil else { throw .unexpectedOperands("the factors of a layer for a parameter") }
            try layer?.add(delta: values, factors, lambda: model.lambda)
        case .parameter(let block):
            guard parameter != nil else { throw .unexpectedOperands("the full block of a parameter for a layer") }
            try parameter?.add(delta: values, factor: block, lambda: model.lambda)
        case .none: throw .unexpectedOperands("a block without factors")
        }
    }

    /// Makes the preconditioner after the first pass, and ends a step after each later one.
    /// - Throws: The errors of ``KroneckerConjugateGradient``.
    public mutating func endPass() throws(TaskArithmeticError) {
        if let means = means.take() {
            layer = try KroneckerConjugateGradient(
                means: means, damping: problem.damping,
                ridge: meanCurvature * (try problem.arguments.number(.ridge(default: 0))),
                tolerance: try problem.arguments.number(.residualTolerance),
                bound: try problem.arguments.count(.iterationBound))
        } else {
            try layer?.endPass()
        }
        nextPass = layer?.nextPass
    }

    /// Returns the solution.
    /// - Throws: The errors of ``OneSidedMerge/finish(damping:ladder:)``, or ``TaskArithmeticError/noTasks``.
    public consuming func finish() throws(TaskArithmeticError) -> MergedBlock {
        if let layer = layer.take() { return try layer.finish() }
        guard let parameter = parameter.take() else { throw .noTasks }
        return try parameter.finish(damping: problem.damping)
    }

    /// The steps that the cost counts; the true number depends on the factors.
    private static let expectedSteps = 20

    /// The cost with a likely number of steps: two products for each task and step, and two solves.
    ///
    /// The peak of memory holds both factorizations, a task's factors, the square of one of them, θ_0, a task vector, a
    /// product, and five matrices of the iteration.
    public static func cost(of shape: MergeProblem.Shape, models: Int) -> MergeCost {
        guard case .layer = shape else { return KfacMerge.cost(of: shape, models: models) }
        let elements = Double(shape.rows) * Double(shape.columns)
        // Of a diagonal side, a product multiplies each element once.
        let widths = shape.factors.map { $0.isDiagonal ? 1 : Double($0.dimension) }
        let squares = zip(shape.factors, widths).map { Double($0.0.dimension) * $0.1 }
        let products = elements * widths.reduce(0, +)
        let factorizations = zip(squares, widths).reduce(0) { $0 + $1.0 * $1.1 / 3 }
        let passes = expectedSteps + 4
        return MergeCost(
            multiplyAdds: 2 * (Double((models + 1) * passes) * products + factorizations),
            numbers: squares.reduce(0, +) * 1.75 + max(squares[0], squares[1]) + 8 * elements, factorPasses: passes,
            valuePasses: 1, stageMultiplyAdds: 2 * products)
    }
}
