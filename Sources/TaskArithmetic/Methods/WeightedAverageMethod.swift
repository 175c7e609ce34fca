extension MergeMethod {
    /// Δ = Σ w_t Δ_t / Σ w_t.
    public static let weightedAverage = MergeMethod(
        name: "weighted_average", paper: Paper("Wortsman et al. 2022", arXiv: "2203.05482"),
        formula: "θ₀ + α Σ w_t Δ_t / Σ w_t",
        summary: "Averages task vectors: linear with an α.",
        parameters: [.weight, .normalize(default: true), .lambda], base: .whenListed,
        scope: .elements(WeightedSum.self))
}
