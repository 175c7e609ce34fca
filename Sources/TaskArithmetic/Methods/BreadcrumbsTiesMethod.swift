extension MergeMethod {
    /// The middle of each vector by magnitude, of which those with the elected sign are added up.
    public static let breadcrumbsTies = MergeMethod(
        name: "breadcrumbs_ties", paper: Paper("Davari and Belilovsky 2024", arXiv: "2312.06795"),
        formula: "θ₀ + α Σ w_t m_t Δ_t, m_t as in breadcrumbs, and with the elected sign",
        summary: """
            Drops the largest and the smallest elements as breadcrumbs, and adds up those with the elected sign as \
            ties.
            """,
        parameters: [
            .weight, .density, .gamma, .normalize(default: false), .rescale(default: BreadcrumbsTiesRule.rescales),
            .consensus, .lambda,
        ],
        scope: .thinned(by: BreadcrumbsTiesRule.self)
    ) { $0.negationFault }
}

/// The rule of ``MergeMethod/breadcrumbsTies``.
public enum BreadcrumbsTiesRule: TaskVectorRule {
    /// Those between the outliers and the smallest.
    public static var sparsification: Sparsification { .belowOutliers }
    /// It does.
    public static var electsSign: Bool { true }
    /// It does not.
    public static var rescales: Bool { false }
}
