import Identifiers
import LinearAlgebra
import RandomNumbers
import TaskArithmetic
import UnitOperations

/// The merge and the report.
extension Planner {
    /// Plans the merged checkpoint.
    ///
    /// First come the method's statistics of the whole model. Then workers merge what its scope says, and the
    /// coordinator merges files.
    mutating func planMerge() {
        guard spec.outputs.contains(.merged), spec.mergesAnything else { return }
        let settings = MergeSettings(spec: spec, base: inventory.base)
        let shares = TaskShares(spec: spec, inventory: inventory)
        planStatistics(settings, shares)
        if let rank = spec.checkpoint.adapterRank {
            planFactors(rank, settings, shares)
        } else {
            planParameters(settings, shares)
        }
        let merges = [.blockMerge, .tensorMerge, .tensorMeasurement, .matrixSum].flatMap { products.outputs(for: $0) }
        let bytes = inventory.base.tensors.values.reduce(UInt64(0)) { $0.saturatingSum($1.slice.byteCount) }
        _ = add(
            .mergeCheckpoint, after: (merges.map(\.output.unit) + statistics.map(\.unit)).sorted(),
            cost: .streaming(
                inputBytes: bytes.saturatingProduct(UInt64(1 + spec.mergedTasks.count)), outputBytes: bytes),
            title: spec.checkpoint.adapterRank == nil ? "merged checkpoint" : "merged adapter")
    }

    /// Plans the merges of whole parameters.
    private mutating func planParameters(_ settings: MergeSettings, _ shares: TaskShares) {
        let sharesOfBlocks = TaskShares(spec: spec, inventory: inventory, isOfBlocks: true)
        let merged = mergedBlocks
        planBlockMerges(merged.compactMap { part($0, settings, sharesOfBlocks) }, settings)
        let coverage = RegionCoverage(inventory.base.withCopies(merged.flatMap(\.regions)))
        let others = mergedTensors.filter { !coverage.touches($0.name) && settings.mergesAsMatrix(tensor: $0.name) }
        for matrix in others.flatMap(matrices.parts) {
            guard var part = part(matrix, settings, shares) else { continue }
            part.operation.measuresTensor = isMeasured(matrix.region, part.operation)
            let purpose: UnitPurpose = part.operation.measuresTensor ? .tensorMeasurement : .tensorMerge
            products[matrix.name, purpose] = UnitOutput(addMerge(part))
            parts[matrix.name] = matrix.region
        }
    }

    /// Whether the coordinator merges a part element by element, with numbers that a worker measures.
    ///
    /// The index of an element counts in the order in which the part is stored, so a part is merged whole whose order
    /// is another one.
    private func isMeasured(_ region: ParameterRegion, _ operation: MergeOperation) -> Bool {
        spec.method.scope.measured(operation.arguments) != nil && region.elements.isContiguous
            && region.layout == .outIn
            // Magnitudes of fp64 are not told apart in fp32.
            && !(operation.base + operation.tasks.flatMap(\.parameters)).contains { $0.elementType == .f64 }
    }

    /// Plans the merges of the matrices that an adapter may change, each into two factors.
    ///
    /// Factors that are concatenated need no unit.
    private mutating func planFactors(_ rank: AdapterRank, _ settings: MergeSettings, _ shares: TaskShares) {
        guard case .atMost(let rank) = rank else { return }
        let merged = AdapterMatrices(
            export: AdapterExport(spec: spec, inventory: inventory), spec: spec, inventory: inventory, blocks: blocks,
            matrices: matrices)
        func factored(_ part: MergedPart, isSum: Bool = false) -> MergedPart {
            var part = part
            part.operation.rank = rank
            part.operation.isSum = isSum
            part.operation.outputTypes = [spec.outputType ?? .f32]
            return part
        }
        let sharesOfBlocks = TaskShares(spec: spec, inventory: inventory, isOfBlocks: true)
        planBlockMerges(merged.blocks.compactMap { part($0, settings, sharesOfBlocks).map { factored($0) } }, settings)
        for matrix in merged.whole {
            guard let part = part(matrix, settings, shares) else { continue }
            products[matrix.name, .tensorMerge] = UnitOutput(addMerge(factored(part)))
            parts[matrix.name] = matrix.region
        }
        for tensor in merged.summed.map(\.tensor) {
            let matrix = MergedMatrices.Part(
                name: tensor.name, region: ParameterRegion(tensor: tensor.name, elements: 0..<tensor.elementCount),
                parameters: MergedParameters(tensorOfShape: tensor.shape))
            guard let part = part(matrix, settings, shares) else { continue }
            products[tensor.name, .matrixSum] = UnitOutput(addMerge(factored(part, isSum: true)))
        }
    }

    private mutating func planBlockMerges(_ parts: [MergedPart], _ settings: MergeSettings) {
        guard !spec.mergesJointRows else { return planJointMerge(parts, settings) }
        for part in parts { products[part.name, .blockMerge] = UnitOutput(addMerge(part)) }
    }

    /// A block or a tensor with what a merge reads of it.
    struct MergedPart {
        var operation: MergeOperation
        var factors: [UnitOutput] = []
        var inverses: [UnitOutput] = []
        /// The block's or the tensor's name.
        let name: String
    }

    private mutating func addMerge(_ part: MergedPart) -> UnitIndex {
        var operation = part.operation
        operation.roundCount = statistics.count
        return add(
            operation, reading: part.factors + part.inverses, numbers: statistics,
            title: "\(operation.measuresTensor ? "measures" : "merge") of \"\(part.name)\"", about: part.name,
            block: part.name, cost: operation.cost(by: spec.method))
    }

    // MARK: - Blocks

    /// The blocks that are merged with factors.
    private var mergedBlocks: [CurvatureBlock] {
        spec.mergedBlocks(among: blocks, base: inventory.base)
    }

    private func part(_ block: CurvatureBlock, _ settings: MergeSettings, _ shares: TaskShares) -> MergedPart? {
        let names = block.tensors
        let shares = spec.sharesEqually(block) ? shares.equal : shares
        // A task without curvature in the block does not take part: the shares of the others sum to 1.
        let isPresent = { (task: TaskSpec) in !inventory.isEmpty(block, in: task.name) }
        let weighted = weightedTasks(names[0], settings).filter { isPresent($0.task) }
        let participants = weighted.map(\.task.name)
        // `normalize` divides the whole mean by the sum of its weights.
        let divisor =
            settings.divides(tensor: names[0])
            ? settings.weightSum(tensor: names[0], shares: shares, among: isPresent) : 1
        let tasks = weighted.compactMap {
            task, weight -> (name: TaskName, share: MergeOperation.Task, factors: [UnitOutput])? in
            guard let checkpoint = inventory.checkpoints[task.name],
                let factors = outputs(of: block, for: { .balancedFactor($0, of: task.name) })
            else { return nil }
            let share = MergeOperation.Task(
                parameters: parameters(block, in: checkpoint), place: place(of: task), weight: weight / divisor,
                lambda: shares.share(of: task.name, among: participants),
                arguments: settings.arguments(of: task, tensor: names[0]))
            return (task.name, share, factors)
        }
        guard !tasks.isEmpty, let inverses = inverses(of: block, read: tasks.map(\.name)) else { return nil }
        let base = parameters(block, in: inventory.base)
        var operation = MergeOperation(
            method: spec.method.name, arguments: settings.arguments(tensor: names[0]),
            parameters: .block(block.kind), base: base, tasks: tasks.map(\.share),
            scale: settings.scale(tensor: names[0]), damping: spec.curvature.damping,
            outputTypes: base.map { spec.outputType ?? $0.elementType })
        operation.inverseCount = inverses.count
        operation.readsDouble = spec.mergesInDouble
        let factors = tasks.flatMap(\.factors)
        return MergedPart(
            operation: operation, factors: operation.readsDouble ? factors.map(double) : factors,
            inverses: inverses.flatMap { $0 }, name: block.name)
    }

    /// The inverses that the method reads of a block: for each target A's then B's, or F's.
    private func inverses(of block: CurvatureBlock, read tasks: [TaskName]) -> [[UnitOutput]]? {
        let targets: [TargetName] =
            switch spec.method.scope.inverses {
            case .none: []
            case .all: [.all]
            case .leaveOneOut: tasks.map { .without($0) }
            }
        let inverses = targets.compactMap { target in
            outputs(of: block, for: { .inverse($0, of: target) })
        }
        return inverses.count == targets.count ? inverses : nil
    }

    /// The tasks that contribute to a tensor.
    ///
    /// A model of weight 0 contributes nothing, so neither its parameters nor its curvature are read.
    private func weightedTasks(_ tensor: String, _ settings: MergeSettings) -> [(task: TaskSpec, weight: Double)] {
        spec.mergedTasks.map { (task: $0, weight: settings.weight(of: $0, tensor: tensor)) }.filter { $0.weight != 0 }
    }

    /// A task's number in every part of the checkpoint; 0 is the base.
    private func place(of task: TaskSpec) -> Int {
        (spec.mergedTasks.firstIndex { $0.name == task.name } ?? 0) + 1
    }

    // MARK: - Whole tensors

    /// The base's tensors that are merged, by name.
    var mergedTensors: [TensorInventory] {
        inventory.base.tensors.values.filter { copied.reason(of: $0.name) == nil && $0.elementCount > 0 }
            .sorted { $0.name < $1.name }
    }

    /// A tensor, or a part of it, without factors.
    private func part(
        _ matrix: MergedMatrices.Part, _ settings: MergeSettings, _ shares: TaskShares
    ) -> MergedPart? {
        let (region, name) = (matrix.region, matrix.region.tensor)
        guard let base = source(region, in: inventory.base) else { return nil }
        let weighted = weightedTasks(name, settings)
        let participants = weighted.map(\.task.name)
        var tasks: [MergeOperation.Task] = weighted.compactMap { task, weight in
            guard let own = inventory.checkpoints[task.name].flatMap({ source(region, in: $0) }) else { return nil }
            var share = MergeOperation.Task(
                parameters: [own], place: place(of: task), weight: weight,
                lambda: shares.share(of: task.name, among: participants),
                arguments: settings.arguments(of: task, tensor: name))
            share.randomStream = settings.randomStream(of: task, tensor: name, part: matrix.name)
            return share
        }
        // The base's own vector is zero, but its weight counts. An origin has no weight, and is read.
        if let weight = settings.baseWeight(tensor: name), weight != 0 || spec.isBaseOrigin {
            let arguments = settings.arguments(of: spec.listedBase, tensor: name)
            tasks.insert(
                .init(parameters: [base], place: 0, weight: weight, lambda: 1, arguments: arguments), at: 0)
        }
        guard !tasks.isEmpty else { return nil }
        let operation = MergeOperation(
            method: spec.method.name, arguments: settings.arguments(tensor: name),
            parameters: matrix.parameters, base: spec.method.terms == .taskVectors ? [base] : [],
            tasks: tasks, scale: settings.scale(tensor: name), divides: settings.divides(tensor: name),
            damping: spec.curvature.damping, outputTypes: [spec.outputType ?? base.elementType])
        return MergedPart(operation: operation, name: matrix.name)
    }

    // MARK: - Statistics of the whole model

    /// Plans the rounds of the method's statistics: every block and tensor, then a tree of combinations.
    private mutating func planStatistics(_ settings: MergeSettings, _ shares: TaskShares) {
        // A condition's parameter does not vary by tensor.
        guard let measured = spec.method.statistics(for: settings.arguments(tensor: "")) else { return }
        var parts: [MergedPart] = []
        let merged = mergedBlocks
        parts += merged.compactMap { part($0, settings, shares) }
        let coverage = RegionCoverage(inventory.base.withCopies(merged.flatMap(\.regions)))
        for tensor in mergedTensors {
            parts += measuredParts(of: tensor, coverage).compactMap { part($0, settings, shares) }
        }
        guard !parts.isEmpty else { return }
        for round in 0..<measured.rounds {
            let lists = parts.map { part in
                var operation = part.operation
                (operation.measures, operation.roundCount, operation.inverseCount) = (true, round, 0)
                return UnitMeasurement(
                    add(
                        operation, reading: part.factors, numbers: statistics,
                        title: "statistics of \"\(part.name)\", round \(round + 1)", about: part.name,
                        block: part.name, cost: operation.cost(by: spec.method)), .statistics)
            }
            statistics.append(combined(lists, round: round))
        }
    }

    /// What is measured of a tensor at a time: what is merged at a time, or what no block covers, as single rows.
    private func measuredParts(of tensor: TensorInventory, _ coverage: RegionCoverage) -> [MergedMatrices.Part] {
        func part(_ elements: ElementRuns, _ parameters: MergedParameters) -> MergedMatrices.Part {
            MergedMatrices.Part(
                name: tensor.name, region: ParameterRegion(tensor: tensor.name, elements: elements),
                parameters: parameters)
        }
        guard !coverage.touches(tensor.name) else {
            return coverage.rest(of: tensor).map { part($0, .tensor(rows: 1, columns: $0.elementCount)) }
        }
        let merged = matrices.parts(of: tensor)
        guard merged.isEmpty else { return merged }
        return [part(ElementRuns(0..<tensor.elementCount), MergedParameters(tensorOfShape: tensor.shape))]
    }

    private mutating func combined(_ lists: [UnitMeasurement], round: Int) -> UnitMeasurement {
        var level = lists
        // With one list at a time the tree would never end.
        let most = max(2, limits.combinedStatistics)
        repeat {
            var combined: [UnitMeasurement] = []
            for first in stride(from: 0, to: level.count, by: most) {
                let parts = Array(level[first..<min(first + most, level.count)])
                let operation = CombineStatisticsOperation(
                    method: spec.method.name, round: round, partCount: parts.count)
                let unit = add(
                    operation, numbers: parts, title: "statistics of the model, round \(round + 1)",
                    about: "the model", block: nil)
                combined.append(UnitMeasurement(unit, .statistics))
            }
            level = combined
        } while level.count > 1
        return level[0]
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
        planNorms()
        let bytes = inventory.files.reduce(UInt64(0)) { $0.saturatingSum($1.byteCount) }
        if (spec.curvature.inputDigests ?? .content) == .content {
            _ = add(
                .digestInputs, after: [], cost: .streaming(inputBytes: bytes, outputBytes: 0),
                title: "digests of the inputs")
        }
        _ = add(
            .writeReport, after: units.map(\.index), cost: .streaming(inputBytes: 0, outputBytes: 0),
            title: "report")
    }
}
