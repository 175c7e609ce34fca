import Identifiers
import LinearAlgebra
import TaskArithmetic

/// Builds the units of a plan, stage by stage.
struct Planner {
    let spec: JobSpec
    let inventory: JobInventory
    let limits: PlanLimits
    let blocks: [CurvatureBlock]
    let targets: [TargetName]
    let copied: CopiedTensors
    /// w_t of λ_t, by task.
    let curvatureWeights: [TaskName: Double]
    private let groups: [String: Int]

    var units: [WorkUnit] = []
    var factorOutputs: [TaskName: [FactorName: UnitOutput]] = [:]
    var accumulations: [FactorName: UnitIndex] = [:]
    var optimalAccumulations: [String: UnitIndex] = [:]
    var regularizerTerms: [TargetName: [[FactorName: UnitOutput]]] = [:]
    var inversions: [TargetName: [FactorName: UnitIndex]] = [:]
    var interferences: [TaskName: [String: UnitIndex]] = [:]
    var regularizerPenalties: [TaskName: [String: [UnitIndex]]] = [:]
    var blockMerges: [String: UnitIndex] = [:]

    var curvedTasks: [TaskSpec] { spec.tasks.filter(\.hasCurvature) }
    var mergedTasks: [TaskSpec] { spec.tasks.filter { $0.model != nil } }

    init(_ examination: JobExamination, limits: PlanLimits) {
        let (spec, inventory) = (examination.spec, examination.inventory)
        self.spec = spec
        self.inventory = inventory
        self.limits = limits
        let blocks = examination.selection.blocks
        self.blocks = blocks
        copied = CopiedTensors(spec: spec, base: inventory.base)
        curvatureWeights = inventory.curvatureWeights(of: spec)
        targets = Self.targets(of: spec)
        groups = Self.groups(of: blocks, in: inventory)
    }

    /// Groups blocks.
    ///
    /// Blocks that share a factor share a group, because they read the same blobs.
    private static func groups(of blocks: [CurvatureBlock], in inventory: JobInventory) -> [String: Int] {
        var groups: [String: Int] = [:]
        for (position, block) in blocks.enumerated() {
            let shared = inventory.captures.values.compactMap {
                $0.layers[LayerName(rawValue: block.name)]?.sharedInput.flatMap { groups[$0.rawValue] }
            }
            groups[block.name] = shared.min() ?? position
        }
        return groups
    }

    /// Adds a unit after its dependencies; a unit of a block joins the block's group.
    mutating func add(
        _ operation: UnitOperation, after dependencies: [UnitIndex], cost: UnitCost, title: String,
        block: String? = nil
    ) -> UnitIndex {
        let index = UnitIndex(units.count)
        var seen: Set<UnitIndex> = []
        units.append(
            WorkUnit(
                index: index, operation: operation, dependencies: dependencies.filter { seen.insert($0).inserted },
                cost: cost, title: title, group: block.flatMap { groups[$0] }))
        return index
    }

    private static func targets(of spec: JobSpec) -> [TargetName] {
        guard spec.outputs.contains(.regularizer) || spec.outputs.contains(.inverses) else { return [] }
        switch spec.curvature.regularizer.targets {
        case .all: return [.all]
        case .leaveOneOut: return spec.tasks.map { .without($0.name) }
        case .named(let names): return names.map { .without($0.value) }
        }
    }

    /// Whether any output needs the tasks' factors.
    var needsFactors: Bool {
        let outputs = spec.outputs
        let needsForMerge = outputs.contains(.merged) && spec.method.needsFactors
        let needsForFiles = !outputs.isDisjoint(with: [.factors, .regularizer, .inverses])
        return !curvedTasks.isEmpty && (needsForMerge || needsForFiles || measuresInterference)
    }

    /// Whether the report contains the interference matrix.
    var measuresInterference: Bool {
        spec.outputs.contains(.report) && spec.curvature.measuresInterference && !mergedTasks.isEmpty
            && !curvedTasks.isEmpty
    }

    /// θ of a block in a checkpoint.
    func parameters(_ block: CurvatureBlock, in checkpoint: CheckpointInventory) -> BlockParameters {
        block.parameters.compactMap { name in
            checkpoint.tensors[name].flatMap { tensor in
                tensor.floatingType.map { TensorSource(elementType: $0, slice: tensor.slice) }
            }
        }
    }

    /// A block's factors, as outputs of the units that make them.
    func factors(_ block: CurvatureBlock, from output: (FactorSide) -> UnitOutput?) -> BlockFactors<UnitOutput>? {
        switch block.kind {
        case .linear:
            guard let input = output(.input), let gradient = output(.gradient) else { return nil }
            return .kronecker(input: input, gradient: gradient)
        case .full:
            return output(.full).map { .full($0) }
        }
    }
}

extension BlockFactors where Blob == UnitOutput {
    /// The units that make the factors.
    var units: [UnitIndex] {
        switch self {
        case .kronecker(let input, let gradient): [input.unit, gradient.unit]
        case .full(let blob): [blob.unit]
        }
    }
}
