/// The stages of a job's units, which durations and counts are grouped by.
public enum UnitStage: String, CaseIterable, Hashable, Sendable {
    /// Rows → a factor.
    case factor
    /// A factor → its damped inverse.
    case invert
    /// The penalties of task vectors under a block's factors.
    case penalty
    /// The merge of one block.
    case mergeBlock = "merge_block"
    /// The sum of a factor's partial sums.
    case combine
    /// The import of a factor of a finished set.
    case importFactor = "import"
    /// Sums over tasks.
    case accumulate
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
}
