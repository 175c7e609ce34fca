public import LinearAlgebra

extension MergeMethod {
    /// `actmat` whose estimates keep only the largest elements of each vector.
    public static let tact = MergeMethod(
        name: "tact", paper: Paper("ActMat 2026", arXiv: "2604.01329"),
        formula: "θ₀ + α (Σ w_t Δ_t Δ̃_tᵀΔ̃_t) (Σ Δ̃_tᵀΔ̃_t)⁺",
        summary: "actmat, whose estimates Δ̃_t keep only the largest elements of each vector.",
        parameters: [.weight, .lambda, .tactDensity, .relativeTolerance, .ridge(default: 0), .vectors],
        scope: .matrices(TactMerge.self, others: VectorRule.self), dependsOnLayout: { _ in true })
}

extension MergeParameter {
    /// The share of a vector's elements that its estimate keeps.
    public static let tactDensity = MergeParameter(
        "tact_k", .number(.above(0, to: 1)), default: .value(.number(0.5)), level: .job, variesByTensor: true,
        meaning: "share of each vector's elements that estimate its covariance")
}

/// The merge `tact` of one matrix.
///
/// Elements of equal magnitude are kept in the order of their places. The merged vectors themselves are whole.
public struct TactMerge: EstimatedCovarianceMerge, ~Copyable {
    /// The system and the passes.
    public var state: EstimatedCovarianceState
    private let density: Double

    /// Creates empty sums.
    /// - Throws: The errors of ``EstimatedCovarianceState/init(_:)``, or
    ///   ``TaskArithmeticError/parameterMissing(name:expected:)``.
    public init(_ problem: MergeProblem) throws(TaskArithmeticError) {
        let density = try problem.arguments.number(.tactDensity)
        state = try EstimatedCovarianceState(problem)
        self.density = density
    }

    /// Adds a task with the estimate of its largest elements.
    /// - Throws: The errors of ``CovarianceSystem/add(_:estimate:weight:scale:)``.
    public mutating func add(
        _ values: consuming Matrix<Double>, factors: borrowing TaskFactors, of model: MergedModel
    ) throws(TaskArithmeticError) {
        let estimate = try Self.largest(of: values, share: density)
        try state.system.add(values, estimate: estimate, weight: model.weight, scale: 1)
    }

    /// The largest elements, others 0; the number of kept ones is rounded down, and at least 1.
    private static func largest(
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
