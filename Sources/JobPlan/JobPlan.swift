public import Identifiers
public import UnitOperations

/// A job's work: its units with fixed chunks, the fixed order of sums, and the cost of each unit.
///
/// The plan does not depend on the number of workers, so placement never changes a byte of the result. Source: DESIGN
/// section 5.
public struct JobPlan: Equatable, Sendable {
    /// Raise this whenever the same job would be planned differently, because a journal's results name units by
    /// position.
    static let version = 5

    /// The user's request.
    public let spec: JobSpec
    /// The contents of the files.
    public let inventory: JobInventory
    /// The blocks with curvature, ordered by name.
    public let blocks: [CurvatureBlock]
    /// The selected layers and parameters that no row of any task reached, sorted; they have no factors.
    public let unreached: [String]
    /// The layouts that are declared for blocks, by name.
    public let layouts: [String: WeightLayout]
    /// The units; each stands after the units that it depends on.
    public let units: [WorkUnit]
    /// What the units' outputs are for.
    public let products: PlanProducts
    /// The numbers of the whole model that the merges read, one list for each round of the method's statistics.
    public let statistics: [UnitMeasurement]
    /// The tensors without factors, or parts of them, that workers merge or measure, by the subjects of ``products``.
    public let mergedParts: [String: ParameterRegion]
    /// The regularizers to form, in the order of each accumulation's blobs.
    public let targets: [TargetName]
    /// The remarks about the job.
    public let notices: [JobNotice]
    private let curvatureWeights: [TaskName: Double]

    /// Plans a validated job.
    ///
    /// - Parameters:
    ///   - spec: The user's request.
    ///   - inventory: The contents of the files.
    ///   - limits: Sizes of chunks and parts; they are part of the result's definition.
    /// - Throws: ``JobRefusal`` with all problems when the job cannot be planned.
    public init(spec: JobSpec, inventory: JobInventory, limits: PlanLimits = PlanLimits()) throws(JobRefusal) {
        let examination = JobExamination(spec, inventory)
        let problems = examination.problems
        guard problems.isEmpty else { throw JobRefusal(problems: problems) }
        var planner = Planner(examination, limits: limits)
        planner.planCurvature()
        planner.planMerge()
        planner.planReport()
        self.spec = spec
        self.inventory = inventory
        blocks = planner.blocks
        let names = Set(planner.blocks.map(\.name))
        // A weight with several uses has the layout of the use that names the block.
        layouts = examination.selection.layouts.filter { names.contains($0.key) }
        unreached = examination.selection.unreached
        units = planner.units
        products = planner.products
        statistics = planner.statistics
        mergedParts = planner.parts
        targets = planner.targets
        notices = examination.notices
        curvatureWeights = planner.curvatureWeights
    }

    /// The weight w_t of a task in λ_t: the given one, else its sample count.
    public func curvatureWeight(of task: TaskName) -> Double {
        curvatureWeights[task] ?? Double(inventory.samples(of: task))
    }

    /// The tasks with curvature in a block, in the job's order.
    ///
    /// The others have no rows there. Sums run over these tasks alone, and their λ_t sum to 1.
    public func curvedTasks(in block: CurvatureBlock) -> [TaskName] {
        spec.curvedTasks.map(\.name).filter { !inventory.isEmpty(block, in: $0) }
    }

    /// The targets whose sums a block has: those that include a task with curvature in it.
    public func targets(of block: CurvatureBlock) -> [TargetName] {
        let tasks = curvedTasks(in: block)
        return targets.filter { tasks.contains(where: $0.includes) }
    }

    /// The tasks without curvature in each block where there are any; see also ``unreached``.
    public var missingCurvature: [String: [TaskName]] {
        var missing: [String: [TaskName]] = [:]
        for block in blocks {
            let tasks = spec.curvedTasks.map(\.name).filter { inventory.isEmpty(block, in: $0) }
            if !tasks.isEmpty { missing[block.name] = tasks }
        }
        return missing
    }

    /// The worker unit that needs the most memory.
    public var largestWorkerUnit: WorkUnit? {
        let units = units.span
        var largest: (position: Int, bytes: UInt64)?
        for position in units.indices where units[position].isForWorker {
            let bytes = units[position].cost.memoryBytes
            if largest.map({ bytes > $0.bytes }) ?? true { largest = (position, bytes) }
        }
        return largest.map { self.units[$0.position] }
    }
}

/// Sizes of chunks and parts.
///
/// They are part of the result's definition: changing them changes bits.
public struct PlanLimits: Equatable, Sendable {
    /// The most rows of a chunk, whose product is one fp32 sum.
    ///
    /// Measured: adding chunks of 4096 rows in fp64 costs 2 %.
    public var chunkRows = 4096
    /// Multiply-adds above which a factor is computed in parts, so that one large layer keeps several workers busy.
    public var partMultiplyAdds = 4.0e12
    /// The most lists of statistics that one unit combines, so that a model of many tensors has a tree of such units.
    public var combinedStatistics = 64

    /// The sizes that kfacd uses.
    public init() {}

    /// Other sizes, for tests.
    public init(chunkRows: Int = 4096, partMultiplyAdds: Double = 4.0e12, combinedStatistics: Int = 64) {
        self.chunkRows = chunkRows
        self.partMultiplyAdds = partMultiplyAdds
        self.combinedStatistics = combinedStatistics
    }
}

extension JobInventory {
    /// w_t of each task: the job's value, else the sample count.
    func curvatureWeights(of spec: JobSpec) -> [TaskName: Double] {
        // A sample count reads every layer, so it is computed once.
        Dictionary(
            spec.tasks.map { ($0.name, $0.curvatureWeight ?? Double(samples(of: $0.name))) },
            uniquingKeysWith: { first, _ in first })
    }
}
