extension MergeMethod {
    /// θ = Σ w_t θ_t / Σ w_t, without a base.
    public static let linear = MergeMethod(
        name: "linear", paper: Paper("Wortsman et al. 2022", arXiv: "2203.05482"), formula: "Σ w_t θ_t / Σ w_t",
        summary: "Averages models; it needs no base and has no α. With normalize: false it does not divide.",
        parameters: [.weight, .normalize(default: true)], terms: .models, base: .whenListedOrWeighted,
        scope: .elements(WeightedSum.self))
}
