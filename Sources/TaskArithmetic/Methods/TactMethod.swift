public import LinearAlgebra

extension MergeMethod {
    /// `actmat` whose estimates keep only the largest elements of each vector.
    public static let tact = MergeMethod(
        name: "tact", paper: Paper("ActMat 2026", arXiv: "2604.01329"),
        formula: "θ₀ + α (Σ w_t Δ_t Δ̃_tᵀΔ̃_t) (Σ Δ̃_tᵀΔ̃_t)⁺",
        summary: "actmat, whose estimates Δ̃_t keep only the largest elements of each vector.",
        parameters: [
            .weight, .lambda, .tactDensity, .relativeTolerance, .ridge(default: 0), .covariance, .asMatrix, .vectors,
        ],
        scope: .matrices(
            TactMerge.self, others: VectorRule.self, captured: CapturedCovarianceMerge<LargestEstimate>.self),
        dependsOnLayout: { _ in true })
}

extension MergeParameter {
    /// The share of a vector's elements that its estimate keeps.
    public static let tactDensity = MergeParameter(
        "density", .number(.above(0, to: 1)), default: .value(.number(0.5)), level: .jobAndModel,
        variesByTensor: true, meaning: "share of each vector's elements that estimate its covariance")
}

/// The merge `tact` of one matrix.
///
/// Elements of equal magnitude are kept in the order of their places. The merged vectors themselves are whole.
public struct TactMerge: EstimatedCovarianceMerge, ~Copyable {
    /// The system and the passes.
    public var state: EstimatedCovarianceState

    /// Creates empty sums.
    /// - Throws: The errors of ``EstimatedCovarianceState/init(_:)``.
    public init(_ problem: MergeProblem) throws(TaskArithmeticError) {
        state = try EstimatedCovarianceState(problem)
    }

    /// Adds a task with the estimate of its largest elements.
    /// - Throws: The errors of ``CovarianceSystem/add(_:estimate:weight:scale:)``.
    public mutating func add(
        _ values: consuming Matrix<Double>, factors: borrowing TaskFactors, of model: MergedModel
    ) throws(TaskArithmeticError) {
        let estimate = try LargestEstimate.rows(of: values, of: model, arguments: state.problem.arguments)
        try state.system.add(values, estimate: estimate, weight: model.weight, scale: 1)
    }

    /// Solves for Δ.
    /// - Throws: The errors of ``CovarianceSystem/solve(tolerance:ridge:)``.
    public consuming func finish() throws(TaskArithmeticError) -> MergedBlock {
        try state.solve(ridge: .ridge(default: 0))
    }

    /// The cost of the system, with the sorted places of the elements.
    public static func cost(of shape: MergeProblem.Shape, models: Int) -> MergeCost {
        var cost = CovarianceSystem.cost(of: shape, models: models)
        cost.numbers += 3 * Double(shape.rows) * Double(shape.columns)
        return cost
    }
}

/// The estimate of `tact`: the vector's largest elements, others 0.
public enum LargestEstimate: CovarianceEstimate {
    /// Keeps the largest elements.
    /// - Throws: ``TaskArithmeticError/parameterMissing(name:expected:)``, or ``TaskArithmeticError/linearAlgebra(_:)``
    ///   when memory is short.
    public static func rows(
        of vector: borrowing Matrix<Double>, of model: MergedModel, arguments: MergeArguments
    ) throws(TaskArithmeticError) -> Matrix<Double> {
        try largest(of: vector, share: try model.arguments.number(.tactDensity))
    }

    /// The largest elements, others 0; the number of kept ones is rounded down, and at least 1.
    fileprivate static func largest(
        of values: borrowing Matrix<Double>, share: Double
    ) throws(TaskArithmeticError) -> Matrix<Double> {
        let elements = values.elements
        let kept = min(elements.count, max(1, Int(share * Double(elements.count))))
        var result = try Matrix<Double>.zeros(values.rowCount, values.columnCount)
        let order = elements.indices.sorted {
            (elements[$1].magnitude, $0) < (elements[$0].magnitude, $1)
        }
        result.withMutableSpan { result in
            for index in order.prefix(kept) { result[index] = elements[index] }
        }
        return result
    }
}
