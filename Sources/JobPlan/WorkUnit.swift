public import Identifiers

/// One piece of a job: a pure function from inputs to blobs, with the same result on every worker.
///
/// Source: DESIGN section 5.
public struct WorkUnit: Equatable, Sendable {
    /// The unit's position in the plan.
    public var index: UnitIndex
    /// The operation.
    public var operation: UnitOperation
    /// The units whose outputs it reads; all are earlier in the plan.
    public var dependencies: [UnitIndex]
    /// The cost.
    public var cost: UnitCost
    /// The unit's title for log lines and messages: `factor "blocks.0.fc1".A of task "fashion"`.
    public var title: String
    /// Units of one group read each other's outputs, so they are best computed where those are stored; `nil` for files.
    ///
    /// A position in ``JobPlan/blocks``: layers are the shards (DESIGN section 5).
    public var group: Int?

    /// Whether a worker computes it; otherwise the coordinator does.
    public var isForWorker: Bool {
        if case .worker = operation { true } else { false }
    }
}

/// The cost of a unit.
public struct UnitCost: Equatable, Sendable {
    /// Multiply-adds.
    public var multiplyAdds: Double
    /// Bytes read from input files and blobs.
    public var inputBytes: UInt64
    /// Bytes of its blobs or files.
    public var outputBytes: UInt64
    /// Peak memory in bytes while it runs, beyond an idle process's memory.
    public var memoryBytes: UInt64

    /// States a cost.
    public init(multiplyAdds: Double, inputBytes: UInt64, outputBytes: UInt64, memoryBytes: UInt64) {
        self.multiplyAdds = multiplyAdds
        self.inputBytes = inputBytes
        self.outputBytes = outputBytes
        self.memoryBytes = memoryBytes
    }

    /// Seconds on a nominal core, for priorities and estimates: 10^11 multiply-adds or 10^9 bytes a second.
    public var nominalSeconds: Double { multiplyAdds / 1e11 + (Double(inputBytes) + Double(outputBytes)) / 1e9 + 1e-4 }
}

/// An output of another unit.
public struct UnitOutput: Hashable, Sendable, Codable {
    /// The unit that makes it.
    public var unit: UnitIndex
    /// Position among the unit's blobs.
    public var position: Int

    /// Names an output.
    public init(_ unit: UnitIndex, _ position: Int = 0) {
        self.unit = unit
        self.position = position
    }
}

/// The operation of a unit, and the kind of process that runs it.
public enum UnitOperation: Equatable, Sendable {
    /// A worker computes it.
    case worker(WorkerOperation<UnitOutput>)
    /// The coordinator computes it.
    case coordinator(CoordinatorOperation)
}

/// An operation of the coordinator, which writes every file of a job from collected blobs.
public enum CoordinatorOperation: Equatable, Sendable {
    /// Writes `factors/<task>/`.
    case assembleFactors(TaskName)
    /// Writes `regularizer/<target>/`.
    case assembleRegularizer(TargetName)
    /// Writes `inverses/<target>/`.
    case assembleInverses(TargetName)
    /// Writes `merged/`, tensor by tensor.
    case mergeCheckpoint
    /// Identifies the inputs by their content.
    case digestInputs
    /// Writes `report.json`.
    case writeReport
    /// Moves the finished files to their final names, as the last step.
    case publish
}

/// The target of a regularizer: the task that it leaves out, or none.
public enum TargetName: Hashable, Sendable, Comparable, Codable, CustomStringConvertible {
    /// The sum over all tasks.
    case all
    /// The sum over all tasks but this one.
    case without(TaskName)

    /// The name of the target's output directory: the omitted task, or `all`.
    public var description: String {
        switch self {
        case .all: "all"
        case .without(let task): task.rawValue
        }
    }

    /// Whether the target's sum includes a task.
    public func includes(_ task: TaskName) -> Bool { self != .without(task) }

    /// `all` first, then by the name of the omitted task.
    public static func < (left: TargetName, right: TargetName) -> Bool {
        switch (left, right) {
        case (.all, .without): true
        case (_, .all): false
        case (.without(let left), .without(let right)): left < right
        }
    }
}

extension WorkUnit {
    /// The stage of the work, as plans and reports group it.
    public var stage: String {
        switch operation {
        case .worker(.factor): "factor"
        case .worker(.combine): "combine parts"
        case .worker(.importFactor): "import factor"
        case .worker(.accumulate): "accumulate"
        case .worker(.accumulateOptimal): "accumulate optimally"
        case .worker(.invert): "invert"
        case .worker(.penalty): "penalty"
        case .worker(.mergeBlock): "merge block"
        case .coordinator(.assembleFactors), .coordinator(.assembleRegularizer), .coordinator(.assembleInverses):
            "write files"
        case .coordinator(.mergeCheckpoint): "merge checkpoint"
        case .coordinator(.digestInputs): "digest inputs"
        case .coordinator(.writeReport): "report"
        case .coordinator(.publish): "publish"
        }
    }
}
