extension MergeMethod {
    /// A random share of each vector, scaled up, and added up.
    public static let dareLinear = MergeMethod(
        name: "dare_linear", paper: Paper("Yu et al. 2024", arXiv: "2311.03099"),
        formula: "θ₀ + α Σ w_t m_t Δ_t / p_t, m_t ∈ {0, 1} at random with the probability p_t",
        summary: """
            Drops elements of each vector at random, scales up the rest, and adds the vectors up. By default the \
            rest keeps the tensor's L1 norm, as in mergekit; with "rescale_by: probability" it is divided by the \
            density, as in the paper.
            """,
        parameters: [
            .weight, .density, .normalize(default: false), .rescale(default: DareLinearRule.rescales), .rescaleBy,
            .randomSeed, .lambda,
        ],
        cancellingWeights: .notDivided, scope: .thinned(by: DareLinearRule.self))
}

/// The rule of ``MergeMethod/dareLinear``.
public enum DareLinearRule: TaskVectorRule {
    /// Each with the same probability.
    public static var sparsification: Sparsification { .atRandom }
    /// It does not.
    public static var electsSign: Bool { false }
    /// It does.
    public static var rescales: Bool { true }
}
