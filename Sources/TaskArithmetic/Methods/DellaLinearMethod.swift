extension MergeMethod {
    /// A random share of each vector, more of the large elements, added up.
    public static let dellaLinear = MergeMethod(
        name: "della_linear", paper: Paper("Deep et al. 2024", arXiv: "2406.11617"),
        formula: "θ₀ + α Σ w_t m_t Δ_t / p_t, m_t ∈ {0, 1} at random, p_t by the rank in the row",
        summary: """
            Drops elements at random, larger ones of a row less often, and adds the vectors up. The probability goes \
            from density − epsilon to density + epsilon. A tensor that is no matrix is one row. By default the rest \
            keeps the tensor's L1 norm, as in mergekit; with "rescale_by: probability" each element is divided by \
            its own, as in the paper.
            """,
        parameters: [
            .weight, .density, .epsilon, .normalize(default: false), .rescale(default: DellaLinearRule.rescales),
            .rescaleBy, .randomSeed, .lambda,
        ],
        cancellingWeights: .notDivided, scope: .tensors(TaskVectorMerge<DellaLinearRule>.self),
        fault: { $0.probabilityFault }, dependsOnLayout: { _ in true })
}

/// The rule of ``MergeMethod/dellaLinear``.
public enum DellaLinearRule: TaskVectorRule {
    /// Each with a probability by its rank.
    public static var sparsification: Sparsification { .atRandomByRank }
    /// It does not.
    public static var electsSign: Bool { false }
    /// It does.
    public static var rescales: Bool { true }
}
