extension MergeMethod {
    /// The middle of each vector by magnitude, added up.
    public static let breadcrumbs = MergeMethod(
        name: "breadcrumbs", paper: Paper("Davari and Belilovsky 2024", arXiv: "2312.06795"),
        formula: "θ₀ + α Σ w_t m_t Δ_t, m_t = 0 for the largest and the smallest",
        summary: """
            Drops the largest elements of each vector, which may be outliers, and the smallest ones, and adds the \
            vectors up. mergekit keeps nothing of a tensor with fewer than 1/gamma elements; here such a tensor has \
            no outliers.
            """,
        parameters: [
            .weight, .density, .gamma, .normalize(default: false), .rescale(default: BreadcrumbsRule.rescales),
            .lambda,
        ],
        cancellingWeights: .notDivided, scope: .thinned(by: BreadcrumbsRule.self))
}

/// The rule of ``MergeMethod/breadcrumbs``.
public enum BreadcrumbsRule: TaskVectorRule {
    /// Those between the outliers and the smallest.
    public static var sparsification: Sparsification { .belowOutliers }
    /// It does not.
    public static var electsSign: Bool { false }
    /// It does not.
    public static var rescales: Bool { false }
}
