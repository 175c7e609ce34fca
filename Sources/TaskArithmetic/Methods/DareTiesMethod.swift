extension MergeMethod {
    /// A random share of each vector, scaled up, of which those with the elected sign are added up.
    public static let dareTies = MergeMethod(
        name: "dare_ties", paper: Paper("Yu et al. 2024", arXiv: "2311.03099"),
        formula: "θ₀ + α Σ w_t m_t Δ_t / p_t, m_t ∈ {0, 1} at random, and with the elected sign",
        summary: """
            Drops elements at random and scales up the rest as dare_linear, and adds up those with the elected sign \
            as ties. As in mergekit, weights are not divided by default.
            """,
        parameters: [
            .weight, .density, .normalize(default: false), .rescale(default: DareTiesRule.rescales), .rescaleBy,
            .consensus, .randomSeed, .lambda,
        ],
        scope: .thinned(by: DareTiesRule.self)
    ) { $0.negationFault }
}

/// The rule of ``MergeMethod/dareTies``.
public enum DareTiesRule: TaskVectorRule {
    /// Each with the same probability.
    public static var sparsification: Sparsification { .atRandom }
    /// It does.
    public static var electsSign: Bool { true }
    /// It does.
    public static var rescales: Bool { true }
}
