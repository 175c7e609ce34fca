/// The name and the order of a method.
struct MethodName: Equatable {
    let id: String
    /// The name in tables.
    let full: String
    /// The name in figures.
    let short: String
    /// Whether the method trains with data of the tasks that it must not disturb.
    let needsOtherTasksData: Bool

    /// The name of a method; an unknown id is its own name.
    init(of id: String) {
        self = Self.known.first { $0.id == id } ?? MethodName(id, id, id)
    }

    private init(_ id: String, _ full: String, _ short: String, needsOtherTasksData: Bool = false) {
        self.id = id
        self.full = full
        self.short = short
        self.needsOtherTasksData = needsOtherTasksData
    }

    /// Sorts elements by method, in the order of every table and legend.
    ///
    /// Unknown methods come last; equals keep their order.
    static func ordered<Element>(_ elements: [Element], by id: (Element) -> String) -> [Element] {
        let positions = elements.map { element in
            known.firstIndex { $0.id == id(element) } ?? known.count
        }
        return zip(positions, elements).enumerated()
            .sorted { ($0.element.0, $0.offset) < ($1.element.0, $1.offset) }
            .map(\.element.1)
    }

    private static let known: [MethodName] = [
        MethodName("pretrained", "Pre-trained", "Pre-trained"),
        MethodName("nonlinear", "Non-linear fine-tuning", "Non-linear"),
        MethodName("linear", "Linear fine-tuning, no regularizer", "Linear"),
        MethodName("diagonal", "Diagonal Gauss-Newton", "Diagonal"),
        MethodName("tak-per-task", "TAK per task (eq. 7)", "TAK eq. 7"),
        MethodName("tak-accumulated", "TAK accumulated (eq. 8)", "TAK eq. 8"),
        MethodName("tak-optimal-1", "TAK optimal, rank 1", "TAK rank 1"),
        MethodName("tak-optimal-2", "TAK optimal, rank 2", "TAK rank 2"),
        MethodName("tau-j-p", "τJp (needs the other tasks’ data)", "τJp", needsOtherTasksData: true),
        MethodName(
            "jacobian", "τJp, β by validation (needs the other tasks’ data)", "τJp, β chosen",
            needsOtherTasksData: true),
        MethodName("daemon-per-task", "TAK per task (eq. 7), β by validation", "TAK eq. 7, β chosen"),
        MethodName("daemon-accumulated", "TAK accumulated (eq. 8), β by validation", "TAK eq. 8, β chosen"),
        MethodName("task_arithmetic", "Task arithmetic (sum)", "Sum"),
        MethodName("weighted_average", "Mean", "Mean"),
        MethodName("ties", "TIES", "TIES"),
        MethodName("tsv", "Task singular vectors (TSV)", "TSV"),
        MethodName("iso_c", "Isotropic merging (Iso-C)", "Iso-C"),
        MethodName("regmean", "RegMean", "RegMean"),
        MethodName("kfac", "K-FAC merge", "K-FAC"),
        MethodName("kfac_exact", "K-FAC merge, exact solve", "K-FAC exact"),
        MethodName("jacobian-merge", "Jacobian merge on drawn inputs", "Jacobian merge"),
        MethodName("disentangle", "Post-hoc TAK", "Post-hoc TAK"),
    ]
}
