/// The stages of a job's units, which durations and counts are grouped by.
///
/// The raw value is the stage's name in metrics and on the status page.
public enum UnitStage: String, CaseIterable, Hashable, Sendable {
    /// Rows → a factor.
    case factor
    /// A layer's rows → its exact trace, and B scaled to it.
    case balance
    /// A factor → its damped inverse.
    case invert
    /// A matrix → its compressed form for a file.
    case compress
    /// The penalties of task vectors under a block's factors, or under joint rows.
    case penalty
    /// The merge of a block or of a whole tensor.
    case merge
    /// The sum of a factor's partial sums.
    case combine
    /// The import of a factor of a finished set.
    case importFactor = "import"
    /// Sums over tasks.
    case accumulate
    /// Sums over tasks in the optimal form.
    case accumulateOptimally = "accumulate_optimally"
    /// Captured rows → the joint form's pseudo-rows.
    case jointRows = "joint_rows"
    /// Factor, regularizer and inverse files.
    case assemble
    /// The merged checkpoint.
    case mergeCheckpoint = "merge_checkpoint"
    /// The digests of the inputs.
    case digest
    /// The report.
    case report
    /// The move to the final names.
    case publish

    /// The stage's name in plans and in `report.json`.
    public var title: String {
        switch self {
        case .combine: "combine parts"
        case .importFactor: "import factor"
        case .assemble: "write files"
        case .digest: "digest inputs"
        case .factor, .balance, .invert, .compress, .penalty, .merge, .accumulate, .accumulateOptimally,
            .jointRows, .mergeCheckpoint, .report, .publish:
            spacedName
        }
    }

    /// The stage's name on the status page.
    public var spacedName: String { String(rawValue.map { $0 == "_" ? " " : $0 }) }
}
