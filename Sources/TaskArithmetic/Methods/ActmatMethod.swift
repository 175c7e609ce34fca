public import LinearAlgebra

extension MergeMethod {
    /// Δ = (Σ w_t Δ_t Δ_tᵀΔ_t) (Σ Δ_tᵀΔ_t)⁺.
    public static let actmat = MergeMethod(
        name: "actmat", paper: Paper("ActMat 2026", arXiv: "2604.01329"),
        formula: "θ₀ + α (Σ w_t Δ_t Δ_tᵀΔ_t) (Σ Δ_tᵀΔ_t)⁺",
        summary: "regmean without data: each task vector stands for the covariance of its own inputs.",
        parameters: [.weight, .lambda, .relativeTolerance, .ridge(default: 0), .covariance, .asMatrix, .vectors],
        scope: .matrices(
            ActmatMerge.self, others: VectorRule.self, captured: CapturedCovarianceMerge<VectorEstimate>.self),
        dependsOnLayout: { _ in true })
}

/// The merge `actmat` of one matrix.
public struct ActmatMerge: EstimatedCovarianceMerge, ~Copyable {
    /// The system and the passes.
    public var state: EstimatedCovarianceState

    /// Creates empty sums.
    /// - Throws: The errors of ``EstimatedCovarianceState/init(_:)``.
    public init(_ problem: MergeProblem) throws(TaskArithmeticError) {
        state = try EstimatedCovarianceState(problem)
    }

    /// Adds a task with itself as the estimate.
    /// - Throws: The errors of ``CovarianceSystem/add(_:estimate:weight:scale:)``.
    public mutating func add(
        _ values: consuming Matrix<Double>, factors: borrowing TaskFactors, of model: MergedModel
    ) throws(TaskArithmeticError) {
        try state.system.add(values, estimate: values, weight: model.weight, scale: 1)
    }

    /// Solves for Δ.
    /// - Throws: The errors of ``CovarianceSystem/solve(tolerance:ridge:)``.
    public consuming func finish() throws(TaskArithmeticError) -> MergedBlock {
        try state.solve(ridge: .ridge(default: 0))
    }
}
