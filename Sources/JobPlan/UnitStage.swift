/// The kinds of units, for durations and counts.
///
/// They are few, and the same for every job.
public enum UnitStage: String, CaseIterable, Hashable, Sendable {
    /// Rows → a factor.
    case factor
    /// A factor → its damped inverse.
    case invert
    /// Task vectors against a block's factors.
    case penalty
    /// The merge of one block.
    case mergeBlock = "merge_block"
    /// The sum of a factor's parts.
    case combine
    /// A factor of a finished set.
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
    /// The renaming to the final names.
    case publish

    /// The kind of a worker's operation.
    public init<Blob>(_ operation: WorkerOperation<Blob>) {
        switch operation {
        case .factor: self = .factor
        case .importFactor: self = .importFactor
        case .combine: self = .combine
        case .accumulate, .accumulateOptimal: self = .accumulate
        case .invert: self = .invert
        case .penalty: self = .penalty
        case .mergeBlock: self = .mergeBlock
        }
    }

    /// The kind of a unit's operation.
    public init(_ operation: UnitOperation) {
        switch operation {
        case .worker(let operation): self.init(operation)
        case .coordinator(let operation):
            switch operation {
            case .assembleFactors, .assembleRegularizer, .assembleInverses: self = .assemble
            case .mergeCheckpoint: self = .mergeCheckpoint
            case .digestInputs: self = .digest
            case .writeReport: self = .report
            case .publish: self = .publish
            }
        }
    }
}

extension WorkerOperation {
    /// Seconds, on a nominal core, of the operation's longest stage that reports no progress: a chunk of rows, or a
    /// factorization with all its fallbacks.
    ///
    /// Only the dimension determines them.
    ///
    /// ``UnitCost/nominalSeconds`` defines the rate.
    public var stageSeconds: Double {
        // A failed factorization is repeated with more damping. The last fallback is the eigenvalues, which take about
        // ten times as long.
        func factorization(_ dimension: Int) -> Double {
            let dimension = Double(dimension)
            return 40 * dimension * dimension * dimension / 1e11
        }
        switch self {
        case .factor(let operation):
            let dimension = Double(operation.dimension)
            return dimension * dimension * Double(min(operation.chunkRows, operation.rows)) / 1e11
        // These operations stream and report every range.
        case .combine, .accumulate, .accumulateOptimal: return 0
        case .importFactor(let operation): return factorization(operation.dimension)
        case .invert(let operation): return factorization(operation.dimension)
        case .penalty(let operation): return factorization(operation.block.factors.map(\.dimension).max() ?? 0)
        case .mergeBlock(let operation):
            return operation.block.factors.map { factorization($0.dimension) }.reduce(0, +)
        }
    }
}
