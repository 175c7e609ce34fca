public import LinearAlgebra

extension MergeMethod {
    /// Δ = (Σ λ_t w_t Δ_t (A_t+γI)) (Ā+γI)⁻¹: least squares on the captured inputs of every task.
    public static let regmean = MergeMethod(
        name: "regmean", paper: Paper("Jin et al. 2023", arXiv: "2212.09849"),
        formula: "θ₀ + α (Σ λ_t w_t Δ_t (A_t + γ I)) (Ā + γ I)⁻¹",
        summary: "Keeps every task's outputs of each layer, in the least squares of its captured inputs.",
        parameters: [.weight, .normalize(default: false), .lambda, .offDiagonalShare], base: .whenListed,
        scope: .blocks(RegmeanMerge.self, others: WeightedSum.self))
}

extension MergeParameter {
    /// r of Â = r A + (1 − r) diag A.
    public static let offDiagonalShare = MergeParameter(
        "reduce_non_diagonal_ratio", .number(.from(0, to: 1)), default: .value(.number(1)), level: .job,
        variesByTensor: true, meaning: "factor of A's elements off the diagonal")
}

/// The merge `regmean` of one block: of a layer under its factors A, of a parameter under its full blocks, as `kfac`
/// does it.
///
/// The factors B are read with A, and are not used.
public struct RegmeanMerge: StreamedComputation, ~Copyable {
    private let problem: MergeProblem
    private var sums: OneSidedMerge
    /// One pass.
    public private(set) var nextPass: MergePass? = [.values, .factors]

    /// Creates empty sums.
    ///
    /// - Throws: ``TaskArithmeticError/unexpectedOperands(_:)`` for a matrix without factors,
    ///   ``TaskArithmeticError/parameterMissing(name:expected:)``, or ``TaskArithmeticError/linearAlgebra(_:)`` for an
    ///   impossible shape or short memory.
    public init(_ problem: MergeProblem) throws(TaskArithmeticError) {
        self.problem = problem
        switch problem.shape {
        case .layer(let outputs, let inputs):
            sums = try OneSidedMerge(
                rows: outputs.dimension, inputs: inputs,
                offDiagonalShare: try problem.arguments.number(.offDiagonalShare))
        case .parameter(let count): sums = try OneSidedMerge(count: count)
        case .matrix: throw .unexpectedOperands("a matrix without factors")
        }
    }

    /// Refuses a pass without values.
    ///
    /// - Throws: ``TaskArithmeticError/unexpectedOperands(_:)``, always.
    public mutating func addFactors(
        _ factors: borrowing TaskFactors, of model: MergedModel
    ) throws(TaskArithmeticError) {
        throw .unexpectedOperands("factors without values")
    }

    /// Adds a task.
    ///
    /// - Throws: ``TaskArithmeticError/unexpectedOperands(_:)`` for a block without factors, or the errors of the sums.
    public mutating func add(
        _ values: consuming Matrix<Double>, factors: borrowing TaskFactors, of model: MergedModel
    ) throws(TaskArithmeticError) {
        values.multiply(by: model.weight)
        switch factors {
        case .layer(let factors): try sums.add(delta: values, factor: factors.input, lambda: model.lambda)
        case .parameter(let block): try sums.add(delta: values, factor: block, lambda: model.lambda)
        case .none: throw .unexpectedOperands("a block without factors")
        }
    }

    /// Ends the pass.
    public mutating func endPass() { nextPass = nil }

    /// Solves for Δ.
    ///
    /// - Throws: The errors of ``OneSidedMerge/finish(damping:ladder:)``.
    public consuming func finish() throws(TaskArithmeticError) -> MergedBlock {
        try sums.finish(damping: problem.damping)
    }

    /// The cost: a product for each task, one of the mean, and a factorization with a solve.
    ///
    /// The peak of memory holds the mean as a triangle, the square of a task's factor or of the factorization, a task's
    /// factors, θ_0, a task vector and two sums.
    public static func cost(of shape: MergeProblem.Shape, models: Int) -> MergeCost {
        let elements = Double(shape.rows) * Double(shape.columns)
        guard let side = shape.factors.first else {
            return MergeCost(multiplyAdds: 0, numbers: 0, factorPasses: 1, valuePasses: 1)
        }
        // Of a diagonal side, a product multiplies each element once.
        let width = side.isDiagonal ? 1 : Double(side.dimension)
        let packed = shape.factors.reduce(0) {
            $0 + Double($1.dimension) * ($1.isDiagonal ? 1 : Double($1.dimension + 1) / 2)
        }
        let square = Double(side.dimension) * width
        return MergeCost(
            multiplyAdds: 2 * (Double(models + 2) * elements * width + square * width / 3),
            numbers: 1.5 * square + packed / 2 + 5 * elements, factorPasses: 1, valuePasses: 1)
    }
}
