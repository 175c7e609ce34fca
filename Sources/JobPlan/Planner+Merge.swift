import Identifiers
import LinearAlgebra
import TaskArithmetic
import UnitOperations

/// The merge and the report.
extension Planner {
    /// Plans the merged checkpoint: workers merge blocks with factors, the coordinator merges files.
    mutating func planMerge() {
        guard spec.outputs.contains(.merged), spec.mergesAnything else { return }
        switch spec.method.scope {
        case .elements: break
        case .blocks:
            let settings = MergeSettings(spec: spec, base: inventory.base)
            let shares = TaskShares(spec: spec, inventory: inventory)
            blocks.filter(copied.mergesWhole).forEach { planBlockMerge($0, settings, shares) }
        }
        let bytes = inventory.base.tensors.values.reduce(UInt64(0)) { $0.saturatingSum($1.slice.byteCount) }
        _ = add(
            .mergeCheckpoint, after: blockMerges.values.sorted(),
            cost: .streaming(inputBytes: bytes.saturatingProduct(UInt64(1 + mergedTasks.count)), outputBytes: bytes),
            title: "merged checkpoint")
    }

    private mutating func planBlockMerge(_ block: CurvatureBlock, _ settings: MergeSettings, _ shares: TaskShares) {
        let names = block.parameters
        // A model of weight 0 contributes nothing, so neither its parameters nor its curvature are read.
        let weighted = mergedTasks.map { (task: $0, weight: settings.weight(of: $0, tensor: names[0])) }
            .filter { $0.weight != 0 }
        let participants = weighted.map(\.task.name)
        // `normalize` divides the whole mean by the sum of its weights.
        let divisor = settings.divides(tensor: names[0]) ? settings.weightSum(tensor: names[0], shares: shares) : 1
        let tasks = weighted.compactMap { task, weight -> (task: MergeBlockOperation.Task, factors: [UnitOutput])? in
            guard let checkpoint = inventory.checkpoints[task.name],
                let factors = factors(
                    block, from: { factorOutputs[task.name]?[FactorName(owner: block.name, side: $0)] })
            else { return nil }
            let share = MergeBlockOperation.Task(
                parameters: parameters(block, in: checkpoint), weight: weight / divisor,
                lambda: shares.share(of: task.name, among: participants),
                arguments: settings.arguments(of: task, tensor: names[0]))
            return (share, factors)
        }
        guard !tasks.isEmpty else { return }
        let base = parameters(block, in: inventory.base)
        let operation = MergeBlockOperation(
            method: spec.method.name, arguments: settings.arguments(tensor: names[0]), block: block.kind, base: base,
            tasks: tasks.map(\.task), scale: settings.scale(tensor: names[0]),
            damping: spec.curvature.damping, outputTypes: base.map { spec.outputType ?? $0.elementType })
        blockMerges[block.name] = add(
            operation, reading: tasks.flatMap(\.factors), title: "merge of \"\(block.name)\"", about: block.name,
            block: block.name)
    }

    /// Plans the report on all units before it, and the publication of all files.
    mutating func planReport() {
        if spec.outputs.contains(.report) { planReportFile() }
        _ = add(
            .publish, after: units.map(\.index), cost: .streaming(inputBytes: 0, outputBytes: 0),
            title: "publication of the outputs")
    }

    private mutating func planReportFile() {
        let bytes = inventory.files.reduce(UInt64(0)) { $0.saturatingSum($1.byteCount) }
        if spec.curvature.inputDigests == .content {
            _ = add(
                .digestInputs, after: [], cost: .streaming(inputBytes: bytes, outputBytes: 0),
                title: "digests of the inputs")
        }
        _ = add(
            .writeReport, after: units.map(\.index), cost: .streaming(inputBytes: 0, outputBytes: 0),
            title: "report")
    }
}
