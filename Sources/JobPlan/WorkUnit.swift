public import Identifiers
public import UnitOperations

/// One piece of a job: a pure function from inputs to blobs, with the same result on every worker.
///
/// Source: DESIGN section 5.
public struct WorkUnit: Equatable, Sendable {
    /// The unit's position in the plan.
    public var index: UnitIndex
    /// The work.
    public var work: UnitWork
    /// The blobs that a worker reads for it, in the order that its operation defines.
    public var inputs: [UnitOutput] = []
    /// The numbers that a worker reads for it, in the order that its operation defines.
    public var inputNumbers: [UnitMeasurement] = []
    /// The units whose outputs it reads; all are earlier in the plan.
    public var dependencies: [UnitIndex]
    /// The cost.
    public var cost: UnitCost
    /// The unit's title for log lines and messages: `factor "blocks.0.fc1".A of task "fashion"`.
    public var title: String
    /// The tensor, the factor or the block that the unit is about, as files name it; for errors only.
    public var subject: String = ""
    /// Units of one group read each other's outputs, so they are best computed where those are stored; `nil` for files
    /// and for whole tensors.
    ///
    /// A position in ``JobPlan/blocks``: layers are the shards (DESIGN section 5).
    public var group: Int?

    /// Whether a worker computes it; otherwise the coordinator does.
    public var isForWorker: Bool {
        if case .worker = work { true } else { false }
    }

    /// The worker's operation; `nil` for a unit of the coordinator.
    public var operation: (any UnitOperation)? {
        if case .worker(let operation) = work { operation } else { nil }
    }
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

/// Numbers that another unit measures.
public struct UnitMeasurement: Hashable, Sendable {
    /// The unit that measures them.
    public var unit: UnitIndex
    /// The name of the numbers.
    public var name: MeasurementName

    /// Names a list of numbers.
    public init(_ unit: UnitIndex, _ name: MeasurementName) {
        self.unit = unit
        self.name = name
    }
}

/// The work of a unit, and the kind of process that does it.
public enum UnitWork: Equatable, Sendable {
    /// A worker computes it.
    case worker(any UnitOperation)
    /// The coordinator computes it.
    case coordinator(CoordinatorOperation)

    /// Whether both are the same work.
    public static func == (left: UnitWork, right: UnitWork) -> Bool {
        switch (left, right) {
        case (.worker(let left), .worker(let right)): left.equals(right)
        case (.coordinator(let left), .coordinator(let right)): left == right
        default: false
        }
    }
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
    /// Writes `report.json` and `report.html`.
    case writeReport
    /// Moves the finished files to their final names, as the last step.
    case publish
}

extension CoordinatorOperation {
    /// Threads that share the merge of a tensor; each element is computed alone, so the number changes no bit.
    public static let mergeThreads = 2
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
    /// The stage of its work.
    public var stage: UnitStage {
        switch work {
        case .worker(let operation): operation.stage
        case .coordinator(let operation): operation.stage
        }
    }
}

extension CoordinatorOperation {
    /// The stage that it belongs to.
    public var stage: UnitStage {
        switch self {
        case .assembleFactors, .assembleRegularizer, .assembleInverses: .assemble
        case .mergeCheckpoint: .mergeCheckpoint
        case .digestInputs: .digest
        case .writeReport: .report
        case .publish: .publish
        }
    }
}
