import Identifiers
import LinearAlgebra
import TaskArithmetic
import UnitOperations

/// Builds the units of a plan, stage by stage.
struct Planner {
    let spec: JobSpec
    let inventory: JobInventory
    let limits: PlanLimits
    let blocks: [CurvatureBlock]
    /// The targets that the job's outputs name.
    let targets: [TargetName]
    /// Those, and behind them the targets whose inverses only the merge method reads.
    let summedTargets: [TargetName]
    /// The targets that are inverted.
    let invertedTargets: [TargetName]
    let copied: CopiedTensors
    /// What is merged at a time of tensors without factors.
    let matrices: MergedMatrices
    /// The weights w_t that λ_t follows from, by task.
    let curvatureWeights: [TaskName: Double]
    /// The tasks whose factors are also given as F64, because a merge reads them so.
    let doubledTasks: Set<TaskName>
    private let groups: [String: Int]

    var units: [WorkUnit] = []
    var products: PlanProducts
    var statistics: [UnitMeasurement] = []
    /// The tensors, or parts of them, that are merged whole, by the subjects of their units.
    var parts: [String: ParameterRegion] = [:]

    init(_ examination: JobExamination, limits: PlanLimits) {
        let (spec, inventory) = (examination.spec, examination.inventory)
        self.spec = spec
        self.inventory = inventory
        self.limits = limits
        let blocks = examination.selection.blocks
        self.blocks = blocks
        copied = CopiedTensors(spec: spec, base: inventory.base)
        matrices = examination.matrices
        curvatureWeights = inventory.curvatureWeights(of: spec)
        let (asked, read) = (spec.regularizerTargets, Self.targetsOfMethod(in: spec))
        let summed = asked + read.filter { !asked.contains($0) }
        targets = asked
        summedTargets = summed
        invertedTargets = spec.outputs.contains(.inverses) ? summed : read
        doubledTasks = spec.mergesInDouble ? Set(spec.mergedTasks.map(\.name)) : []
        groups = Self.groups(of: blocks, in: inventory)
        products = PlanProducts(blocks: blocks)
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

    /// Adds a worker's unit after its dependencies; a unit of a block joins the block's group.
    ///
    /// - Parameters:
    ///   - operation: The operation.
    ///   - inputs: The blobs that it reads, in the order that the operation defines.
    ///   - inputNumbers: The numbers that it reads, in the order that the operation defines.
    ///   - title: The title for log lines and messages.
    ///   - subject: The tensor, the factor or the block that the unit is about.
    ///   - block: The block whose group it joins; none for a unit of the whole model.
    ///   - cost: The cost; by default what the operation states.
    /// - Returns: The unit.
    mutating func add(
        _ operation: any UnitOperation, reading inputs: [UnitOutput] = [], numbers inputNumbers: [UnitMeasurement] = [],
        title: String, about subject: String, block: String?, cost: UnitCost? = nil
    ) -> UnitIndex {
        append(
            WorkUnit(
                index: UnitIndex(units.count), work: .worker(operation), inputs: inputs, inputNumbers: inputNumbers,
                dependencies: inputNumbers.map(\.unit) + inputs.map(\.unit), cost: cost ?? operation.cost,
                title: title, subject: subject, group: block.flatMap { groups[$0] }))
    }

    /// Adds a unit of the coordinator after its dependencies.
    mutating func add(
        _ operation: CoordinatorOperation, after dependencies: [UnitIndex], cost: UnitCost, title: String
    ) -> UnitIndex {
        append(
            WorkUnit(
                index: UnitIndex(units.count), work: .coordinator(operation), dependencies: dependencies, cost: cost,
                title: title))
    }

    private mutating func append(_ unit: WorkUnit) -> UnitIndex {
        var unit = unit
        unit.dependencies = Self.withoutRepetitions(unit.dependencies)
        units.append(unit)
        return unit.index
    }

    private static func withoutRepetitions(_ dependencies: [UnitIndex]) -> [UnitIndex] {
        // Most lists are short or in order, and a set for each of a million units takes a second.
        let isInOrder = zip(dependencies, dependencies.dropFirst()).allSatisfy { $0 < $1 }
        guard !isInOrder else { return dependencies }
        var seen: Set<UnitIndex> = []
        return dependencies.filter { seen.insert($0).inserted }
    }

    /// The targets whose inverses the merge method reads.
    private static func targetsOfMethod(in spec: JobSpec) -> [TargetName] {
        guard spec.outputs.contains(.merged) else { return [] }
        guard !spec.mergesJointRows else { return [.all] }
        return switch spec.method.scope.inverses {
        case .none: []
        case .all: [.all]
        case .leaveOneOut: spec.tasks.filter { $0.model != nil }.map { .without($0.name) }
        }
    }

    /// Whether any output needs the tasks' factors.
    var needsFactors: Bool {
        let outputs = spec.outputs
        let needsForMerge = spec.mergesWithFactors
        let needsForFiles = !outputs.isDisjoint(with: [.factors, .regularizer, .inverses])
        return !spec.curvedTasks.isEmpty && (needsForMerge || needsForFiles || measuresInterference)
    }

    /// Whether the report contains the interference matrix.
    var measuresInterference: Bool {
        spec.outputs.contains(.report) && spec.curvature.measuresInterference && !spec.mergedTasks.isEmpty
            && !spec.curvedTasks.isEmpty
    }

    /// θ of a block in a checkpoint.
    func parameters(_ block: CurvatureBlock, in checkpoint: CheckpointInventory) -> ParameterSources {
        block.regions.compactMap { source($0, in: checkpoint) }
    }

    /// The place of a region in a checkpoint; none for a tensor that is not there or cannot be summed.
    func source(_ region: ParameterRegion, in checkpoint: CheckpointInventory) -> TensorSource? {
        guard let tensor = checkpoint.tensors[region.tensor], let type = tensor.floatingType else { return nil }
        let elements = region.elements
        let slice = FileSlice(
            file: tensor.slice.file, offset: tensor.slice.offset + UInt64(elements.lowerBound * type.byteCount),
            byteCount: UInt64((elements.upperBound - elements.lowerBound) * type.byteCount))
        let runs =
            elements.isContiguous
            ? nil
            : ElementRuns(from: 0, length: elements.length, distance: elements.distance, count: elements.count)
        var source = TensorSource(elementType: type, slice: slice, runs: runs, layout: region.layout)
        source.update = tensor.update
        source.update?.firstElement = elements.lowerBound
        return source
    }

    /// The F64 form of a factor that is given in both forms.
    func double(_ output: UnitOutput) -> UnitOutput {
        let count = units[output.unit.position].operation?.doubleBlobCount ?? 0
        return UnitOutput(output.unit, output.position + count)
    }

    /// The outputs for both sides of a layer, A then B, or for a full block; `nil` unless the plan has all.
    func outputs(of block: CurvatureBlock, for purpose: (FactorSide) -> UnitPurpose) -> [UnitOutput]? {
        let outputs = products.outputs(of: [block], for: purpose)
        return outputs.count == block.factors.count ? outputs : nil
    }
}
