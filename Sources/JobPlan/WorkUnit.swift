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

/// What the coordinator does: streaming sums, and every file that a job writes.
public enum CoordinatorOperation: Equatable, Sendable {
    /// Adds a factor's partial sums in order and divides.
    case combine(CombineOperation)
    /// Brings a factor of a finished set into packed form.
    case importFactor(FactorSetInventory.Factor)
    /// Sums one factor over tasks, for every target.
    case accumulate(AccumulateOperation)
    /// Sums a layer's factors over tasks into the optimal form, for every target.
    case accumulateOptimal(OptimalAccumulateOperation)
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

/// A sum of partial sums.
public struct CombineOperation: Equatable, Sendable {
    /// The partial sums, fp64 packed, in the order of their rows.
    public var parts: [UnitOutput]
    /// The matrix's dimension.
    public var dimension: Int
    /// What the sum is divided by.
    public var divisor: Double
}

/// A sum over tasks, elementwise over packed triangles.
///
/// Source: DESIGN section 2.2 (paper eq. 8).
public struct AccumulateOperation: Equatable, Sendable {
    /// Which matrix.
    public var factor: FactorName
    /// The matrix's dimension.
    public var dimension: Int
    /// Every task's factor, in the job's order.
    public var tasks: [AccumulatedTask]
    /// The sums to form, in the order of the unit's blobs.
    public var targets: [TargetName]
}

/// A layer's sums over tasks in the form `optimal`: both sides at once, since each one's coefficients follow from both.
///
/// Source: DESIGN section 2.2.
public struct OptimalAccumulateOperation: Equatable, Sendable {
    /// All that is to be summed of one side.
    public struct Side: Equatable, Sendable {
        /// Which matrix.
        public var factor: FactorName
        /// The matrix's dimension.
        public var dimension: Int
        /// Every task's factor, in the job's order.
        public var tasks: [AccumulatedTask]
        /// The unit that has measured the inner products of these factors.
        public var products: UnitIndex
    }

    /// A.
    public var input: Side
    /// B.
    public var gradient: Side
    /// Kronecker products to be summed for each target.
    public var rank: Int
    /// The sums to form.
    ///
    /// The unit's blobs are ordered by side, A first, then by target, then by Kronecker product.
    public var targets: [TargetName]

    /// Where a matrix stands among the unit's blobs.
    ///
    /// - Parameters:
    ///   - side: A or B.
    ///   - target: Position among the targets.
    ///   - term: Which Kronecker product.
    /// - Returns: The blob's position.
    public func position(of side: FactorSide, target: Int, term: Int) -> Int {
        ((side == .gradient ? targets.count : 0) + target) * rank + term
    }
}

/// A task's share of an accumulated factor.
public struct AccumulatedTask: Equatable, Sendable {
    /// The task.
    public var task: TaskName
    /// Its factor, F32 packed.
    public var factor: UnitOutput
    /// w_t of λ_t.
    public var weight: Double
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
        case .worker(.invert): "invert"
        case .worker(.penalty): "penalty"
        case .worker(.mergeBlock): "merge block"
        case .coordinator(.combine): "combine parts"
        case .coordinator(.importFactor): "import factor"
        case .coordinator(.accumulate): "accumulate"
        case .coordinator(.accumulateOptimal): "accumulate optimally"
        case .coordinator(.assembleFactors), .coordinator(.assembleRegularizer), .coordinator(.assembleInverses):
            "write files"
        case .coordinator(.mergeCheckpoint): "merge checkpoint"
        case .coordinator(.digestInputs): "digest inputs"
        case .coordinator(.writeReport): "report"
        case .coordinator(.publish): "publish"
        }
    }
}
