public import Identifiers

/// One piece of a job: a pure function from inputs to blobs, the same whoever computes it.
///
/// Source: DESIGN section 5.
public struct WorkUnit: Equatable, Sendable {
    /// The unit's position in the plan.
    public var index: UnitIndex
    /// What is to be done.
    public var operation: UnitOperation
    /// The units whose outputs it reads; all stand before it in the plan.
    public var dependencies: [UnitIndex]
    /// What it takes.
    public var cost: UnitCost
    /// What the unit is, for log lines and messages: `factor "blocks.0.fc1".A of task "fashion"`.
    public var title: String
    /// Units of one group read each other's outputs, so they are best computed where those lie; `nil` for files.
    ///
    /// A position in ``JobPlan/blocks``: layers are the shards (DESIGN section 5).
    public var group: Int?

    /// Whether a worker computes it; otherwise the coordinator does.
    public var isForWorker: Bool {
        if case .worker = operation { true } else { false }
    }
}

/// What a unit takes.
public struct UnitCost: Equatable, Sendable {
    /// Multiply-adds.
    public var multiplyAdds: Double
    /// Bytes read from input files and blobs.
    public var inputBytes: UInt64
    /// Bytes of the blobs or files that it makes.
    public var outputBytes: UInt64
    /// Peak memory in bytes while it runs, beyond what an idle process holds.
    public var memoryBytes: UInt64

    /// States what a unit takes.
    public init(multiplyAdds: Double, inputBytes: UInt64, outputBytes: UInt64, memoryBytes: UInt64) {
        self.multiplyAdds = multiplyAdds
        self.inputBytes = inputBytes
        self.outputBytes = outputBytes
        self.memoryBytes = memoryBytes
    }

    /// Seconds on a nominal core, for priorities and estimates: 10^11 multiply-adds or 10^9 bytes a second.
    public var nominalSeconds: Double { multiplyAdds / 1e11 + (Double(inputBytes) + Double(outputBytes)) / 1e9 + 1e-4 }
}

/// An output of another unit: which unit, and which of its blobs.
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

/// What a unit does, and where.
public enum UnitOperation: Equatable, Sendable {
    /// A worker computes it.
    case worker(WorkerOperation<UnitOutput>)
    /// The coordinator computes it.
    case coordinator(CoordinatorOperation)
}

/// What the coordinator does: every file that a job writes, from blobs that it collected.
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
    /// Moves the finished files to their final names, last of all.
    case publish
}

/// What a regularizer is for: the task that it leaves out, or none.
public enum TargetName: Hashable, Sendable, Comparable, Codable, CustomStringConvertible {
    /// The sum over all tasks.
    case all
    /// The sum over all tasks but this one.
    case without(TaskName)

    /// The name of the target's output directory: the task that is left out, or `all`.
    public var description: String {
        switch self {
        case .all: "all"
        case .without(let task): task.rawValue
        }
    }

    /// Whether the target's sum holds a task.
    public func includes(_ task: TaskName) -> Bool { self != .without(task) }

    /// `all` first, then by the name of the task that is left out.
    public static func < (left: TargetName, right: TargetName) -> Bool {
        switch (left, right) {
        case (.all, .without): true
        case (_, .all): false
        case (.without(let left), .without(let right)): left < right
        }
    }
}

extension WorkUnit {
    /// The kind of work, as plans and reports group it.
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
