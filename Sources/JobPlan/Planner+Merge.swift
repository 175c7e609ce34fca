import Identifiers
import LinearAlgebra
import TaskArithmetic
import UnitOperations

/// The merge and the report.
extension Planner {
    /// Plans the merged checkpoint: workers merge what the method's scope says, the coordinator merges files.
    mutating func planMerge() {
        guard spec.outputs.contains(.merged), spec.mergesAnything else { return }
        let settings = MergeSettings(spec: spec, base: inventory.base)
        switch spec.method.scope {
        case .elements: break
        case .tensors, .matrices: wholeTensors.forEach { planTensorMerge($0, settings) }
        case .blocks:
            let shares = TaskShares(spec: spec, inventory: inventory)
            blocks.filter(copied.mergesWhole).forEach { planBlockMerge($0, settings, shares) }
        }
        let merges = products.outputs(for: .blockMerge) + products.outputs(for: .tensorMerge)
        let bytes = inventory.base.tensors.values.reduce(UInt64(0)) { $0.saturatingSum($1.slice.byteCount) }
        _ = add(
            .mergeCheckpoint, after: merges.map(\.output.unit).sorted(),
            cost: .streaming(
                inputBytes: bytes.saturatingProduct(UInt64(1 + spec.mergedTasks.count)), outputBytes: bytes),
            title: "merged checkpoint")
    }

    private mutating func planBlockMerge(_ block: CurvatureBlock, _ settings: MergeSettings, _ shares: TaskShares) {
        let names = block.parameters
        let weighted = weightedTasks(names[0], settings)
        let participants = weighted.map(\.task.name)
        // `normalize` divides the whole mean by the sum of its weights.
        let divisor = settings.divides(tensor: names[0]) ? settings.weightSum(tensor: names[0], shares: shares) : 1
        let tasks = weighted.compactMap { task, weight -> (task: MergeOperation.Task, factors: [UnitOutput])? in
            guard let checkpoint = inventory.checkpoints[task.name],
                let factors = outputs(of: block, for: { .factor($0, of: task.name) })
            else { return nil }
            let share = MergeOperation.Task(
                parameters: parameters(block, in: checkpoint), weight: weight / divisor,
                lambda: shares.share(of: task.name, among: participants),
                arguments: settings.arguments(of: task, tensor: names[0]))
            return (share, factors)
        }
        guard !tasks.isEmpty else { return }
        let base = parameters(block, in: inventory.base)
        let operation = MergeOperation(
            method: spec.method.name, arguments: settings.arguments(tensor: names[0]),
            parameters: .block(block.kind), base: base, tasks: tasks.map(\.task),
            scale: settings.scale(tensor: names[0]), damping: spec.curvature.damping,
            outputTypes: base.map { spec.outputType ?? $0.elementType })
        products[block.name, .blockMerge] = UnitOutput(
            add(
                operation, reading: tasks.flatMap(\.factors), title: "merge of \"\(block.name)\"",
                about: block.name, block: block.name))
    }

    /// The tasks that contribute to a tensor.
    ///
    /// A model of weight 0 contributes nothing, so neither its parameters nor its curvature are read.
    private func weightedTasks(_ tensor: String, _ settings: MergeSettings) -> [(task: TaskSpec, weight: Double)] {
        spec.mergedTasks.map { (task: $0, weight: settings.weight(of: $0, tensor: tensor)) }.filter { $0.weight != 0 }
    }

    // MARK: - Whole tensors

    /// The base's tensors that the method merges as a whole, by name.
    private var wholeTensors: [TensorInventory] {
        inventory.base.tensors.values.filter {
            copied.reason(of: $0.name) == nil && $0.elementCount > 0 && spec.method.scope.mergesWhole(shape: $0.shape)
        }.sorted { $0.name < $1.name }
    }

    private mutating func planTensorMerge(_ tensor: TensorInventory, _ settings: MergeSettings) {
        let name = tensor.name
        guard let base = source(name, in: inventory.base) else { return }
        var tasks: [MergeOperation.Task] = weightedTasks(name, settings).compactMap { task, weight in
            guard let own = inventory.checkpoints[task.name].flatMap({ source(name, in: $0) }) else { return nil }
            return MergeOperation.Task(
                parameters: [own], weight: weight, lambda: 1, arguments: settings.arguments(of: task, tensor: name))
        }
        // The base's own vector is zero, but its weight counts.
        if let weight = settings.baseWeight(tensor: name), weight != 0 {
            let arguments = settings.arguments(of: spec.listedBase, tensor: name)
            tasks.insert(.init(parameters: [base], weight: weight, lambda: 1, arguments: arguments), at: 0)
        }
        guard !tasks.isEmpty else { return }
        let operation = MergeOperation(
            method: spec.method.name, arguments: settings.arguments(tensor: name),
            parameters: MergedParameters(tensorOfShape: tensor.shape), base: spec.method.needsBase ? [base] : [],
            tasks: tasks, scale: settings.scale(tensor: name), divides: settings.divides(tensor: name),
            damping: spec.curvature.damping, outputTypes: [spec.outputType ?? base.elementType])
        products[name, .tensorMerge] = UnitOutput(
            add(operation, title: "merge of \"\(name)\"", about: name, block: name))
    }

    // MARK: - The report

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
