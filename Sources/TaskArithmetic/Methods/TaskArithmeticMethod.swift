extension MergeMethod {
    /// Δ = Σ w_t Δ_t.
    public static let taskArithmetic = MergeMethod(
        name: "task_arithmetic", paper: Paper("Ilharco et al. 2023", arXiv: "2212.04089"),
        formula: "θ₀ + α Σ w_t Δ_t",
        summary: "Adds task vectors up; a negative weight takes a task away.",
        parameters: [.weight, .normalize(default: false), .lambda], base: .never, cancellingWeights: .notDivided,
        scope: .elements(WeightedSum.self))
}
