public import Identifiers
public import UnitOperations

/// A job's work: its units with fixed chunks, a fixed order of sums, and what each takes.
///
/// It does not know how many workers exist: placement can then never change a byte of the result.
/// Source: DESIGN section 5.
public struct JobPlan: Equatable, Sendable {
    /// Rises whenever the same job would be planned differently: a journal's results name units by their position.
    static let version = 3

    /// What was asked for.
    public let spec: JobSpec
    /// What the files hold.
    public let inventory: JobInventory
    /// The blocks with curvature, ordered by name.
    public let blocks: [CurvatureBlock]
    /// The units; dependencies stand before what depends on them.
    public let units: [WorkUnit]
    /// Where each task's factors come from.
    public let factorOutputs: [TaskName: [FactorName: UnitOutput]]
    /// The unit that accumulates each factor, or measures its inner products; none where nothing asks for either.
    public let accumulations: [FactorName: UnitIndex]
    /// The units that sum each layer's factors into the optimal form, by layer; none for the other forms.
    public let optimalAccumulations: [String: UnitIndex]
    /// The matrices of each target's regularizer, one dictionary a Kronecker product; full blocks are in the first.
    ///
    /// Empty for the per-task form, which is made of ``factorOutputs``.
    public let regularizerTerms: [TargetName: [[FactorName: UnitOutput]]]
    /// The units that invert the accumulated factors of each target.
    public let inversions: [TargetName: [FactorName: UnitIndex]]
    /// The units that evaluate task vectors against each task's factors, by task and block.
    public let interferences: [TaskName: [String: UnitIndex]]
    /// The units that evaluate a task's own vector against the regularizer that leaves it out, by task and block: one a
    /// Kronecker product, whose sum is the penalty.
    public let regularizerPenalties: [TaskName: [String: [UnitIndex]]]
    /// The units that merge blocks, by block.
    public let blockMerges: [String: UnitIndex]
    /// The regularizers to form, in the order of every accumulation's blobs.
    public let targets: [TargetName]
    /// What a person should know of the job, and that does not stop it.
    public let notices: [JobNotice]

    /// Plans a job that has been validated.
    ///
    /// - Parameters:
    ///   - spec: What was asked for.
    ///   - inventory: What the files hold.
    ///   - limits: Borders of chunks and parts; they are part of the result's definition.
    /// - Throws: ``JobRefusal`` with all problems when the job cannot be planned.
    public init(spec: JobSpec, inventory: JobInventory, limits: PlanLimits = PlanLimits()) throws(JobRefusal) {
        let problems = spec.problems(against: inventory)
        guard problems.isEmpty else { throw JobRefusal(problems: problems) }
        var planner = Planner(spec: spec, inventory: inventory, limits: limits)
        planner.planCurvature()
        planner.planMerge()
        planner.planReport()
        self.spec = spec
        self.inventory = inventory
        blocks = planner.blocks
        units = planner.units
        factorOutputs = planner.factorOutputs
        accumulations = planner.accumulations
        optimalAccumulations = planner.optimalAccumulations
        regularizerTerms = planner.regularizerTerms
        inversions = planner.inversions
        interferences = planner.interferences
        regularizerPenalties = planner.regularizerPenalties
        blockMerges = planner.blockMerges
        targets = planner.targets
        notices = spec.allNotices(against: inventory)
    }

    /// The tasks with curvature, in the job's order.
    public var curvedTasks: [TaskSpec] { spec.tasks.filter(\.hasCurvature) }
    /// The tasks with a checkpoint, in the job's order.
    public var mergedTasks: [TaskSpec] { spec.tasks.filter { $0.model != nil } }

    /// The weight w_t of a task in λ_t: as given, else its sample count.
    public func curvatureWeight(of task: TaskName) -> Double {
        inventory.curvatureWeight(of: task, in: spec)
    }

    /// The largest memory that any worker unit takes, in bytes, with the unit that takes it.
    public var largestWorkerUnit: WorkUnit? {
        units.filter(\.isForWorker).max { $0.cost.memoryBytes < $1.cost.memoryBytes }
    }
}

/// Borders of chunks and parts.
///
/// They are part of the result's definition: change them and bits change.
public struct PlanLimits: Equatable, Sendable {
    /// Most rows of a chunk whose product is one fp32 sum.
    ///
    /// Measured: adding chunks of 4096 rows in fp64 costs 2 %.
    public var chunkRows = 4096
    /// Multiply-adds above which a factor is computed in parts, so that one giant layer keeps several workers busy.
    public var partMultiplyAdds = 4.0e12

    /// The borders that kfacd uses.
    public init() {}

    /// Other borders, for tests.
    public init(chunkRows: Int, partMultiplyAdds: Double) {
        self.chunkRows = chunkRows
        self.partMultiplyAdds = partMultiplyAdds
    }
}

extension JobInventory {
    /// N_t: the samples of a task's captures or factors.
    public func samples(of task: TaskName) -> Int {
        if let set = factorSets[task] { return set.samples }
        guard let captures = captures[task] else { return 0 }
        return captures.layers.values.map(\.samples).max() ?? captures.parameters.values.map(\.samples).max() ?? 0
    }

    /// w_t: as given in the job, else the sample count.
    func curvatureWeight(of task: TaskName, in spec: JobSpec) -> Double {
        spec.tasks.first { $0.name == task }?.curvatureWeight ?? Double(samples(of: task))
    }
}
