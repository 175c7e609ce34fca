extension MergeMethod {
    /// A random share of each vector, more of the large elements, of which those with the elected sign are averaged.
    public static let della = MergeMethod(
        name: "della", paper: Paper("Deep et al. 2024", arXiv: "2406.11617"),
        formula: "θ₀ + α Σ w_t m_t Δ_t / (p_t Σ w_t m_t), m_t as in della_linear, and with the elected sign",
        summary: """
            Drops elements at random by rank and scales up the rest as della_linear, and averages those with the \
            elected sign as ties. As in mergekit, weights are divided by default.
            """,
        parameters: [
            .weight, .density, .epsilon, .normalize(default: true), .rescale(default: DellaRule.rescales), .rescaleBy,
            .consensus, .randomSeed, .lambda,
        ],
        scope: .tensors(TaskVectorMerge<DellaRule>.self), fault: { $0.negationFault ?? $0.probabilityFault },
        dependsOnLayout: { _ in true })
}

/// The rule of ``MergeMethod/della``.
public enum DellaRule: TaskVectorRule {
    /// Each with a probability by its rank.
    public static var sparsification: Sparsification { .atRandomByRank }
    /// It does.
    public static var electsSign: Bool { true }
    /// It does.
    public static var rescales: Bool { true }
}
