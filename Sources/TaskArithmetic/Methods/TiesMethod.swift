extension MergeMethod {
    /// The largest elements of each vector, of those the ones with the elected sign, averaged.
    public static let ties = MergeMethod(
        name: "ties", paper: Paper("Yadav et al. 2023", arXiv: "2306.01708"),
        formula: "θ₀ + α Σ w_t m_t Δ_t / Σ w_t m_t, m_t = 1 for the largest with the elected sign",
        summary: """
            Keeps the largest elements of each vector, elects a sign for each element, and averages those that agree. \
            The defaults are mergekit's: the largest of each tensor, and the sign of the weighted sum. With "scope: \
            model" and equal weights it is the paper's method.
            """,
        parameters: [
            .weight, .density, .normalize(default: true), .rescale(default: TiesRule.rescales), .consensus, .trimScope,
            .lambda,
        ],
        scope: .thinned(by: TiesRule.self), statistics: TrimStatistics.self
    ) { $0.negationFault ?? $0.trimScopeFault }
}

/// The rule of ``MergeMethod/ties``.
public enum TiesRule: TaskVectorRule {
    /// The largest.
    public static var sparsification: Sparsification { .largest }
    /// It does.
    public static var electsSign: Bool { true }
    /// It does not.
    public static var rescales: Bool { false }
}
