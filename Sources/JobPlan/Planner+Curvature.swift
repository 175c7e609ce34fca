import Identifiers
import KroneckerFactors
import LinearAlgebra
import UnitOperations

/// Factors, sums over tasks, inverses, penalties, and the files that hold them.
extension Planner {
    /// Plans all units for curvature.
    mutating func planCurvature() {
        guard needsFactors else { return }
        for task in spec.curvedTasks {
            if let captures = inventory.captures[task.name] {
                planFactors(of: task.name, from: captures)
            } else if let set = inventory.factorSets[task.name] {
                planImport(of: task.name, from: set)
            } else if let partials = inventory.partials[task.name] {
                planSums(of: task.name, from: partials)
            }
        }
        planAccumulation()
        invertedTargets.forEach { planInversion(for: $0) }
        if measuresInterference { planPenalties() }
        planFiles()
    }

    // MARK: - Factors

    private mutating func planFactors(of task: TaskName, from captures: CaptureInventory) {
        for block in blocks {
            for (side, dimension) in block.factors {
                let name = FactorName(owner: block.name, side: side)
                if side == .input, let shared = captures.layers[LayerName(rawValue: block.name)]?.sharedInput,
                    let output = products[shared.rawValue, .factor(.input, of: task)],
                    dimension == self.dimension(of: output)
                {
                    products[block.name, .factor(side, of: task)] = output
                    continue
                }
                guard let (rows, template) = factorTemplate(block, side, captures) else { continue }
                products[block.name, .factor(side, of: task)] = planFactor(
                    name, of: task, dimension: dimension, rows: rows, template: template)
            }
        }
    }

    private func dimension(of output: UnitOutput) -> Int? {
        switch units[output.unit.position].operation {
        case let operation as FactorOperation: operation.dimension
        case let operation as CombineOperation: operation.dimension
        default: nil
        }
    }

    /// The inputs of a factor and its computation, without the limits of its parts.
    private func factorTemplate(
        _ block: CurvatureBlock, _ side: FactorSide, _ captures: CaptureInventory
    ) -> (rows: CapturedRows, template: FactorOperation)? {
        switch block.kind {
        case .linear(_, _, let hasBias):
            guard let layer = captures.layers[LayerName(rawValue: block.name)] else { return nil }
            let rows = side == .input ? layer.input : layer.outputGradient
            let operation = template(
                rows, side: side, appendsOnes: side == .input && hasBias, samples: layer.samples,
                inputRows: layer.input.rows, positions: layer.positions ?? 1, probes: captures.probes)
            guard var operation else { return nil }
            if layer.positions == nil, spec.curvature.normalization == .reduce {
                operation.sampleReduction = SampleReduction(isMean: side == .input, numbers: layer.rowSamples)
            }
            return (rows, operation)
        case .full:
            guard let parameter = captures.parameters[ParameterName(rawValue: block.name)] else { return nil }
            let operation = template(
                parameter.gradient, side: .full, appendsOnes: false, samples: parameter.samples,
                inputRows: parameter.samples, positions: 1, probes: captures.probes)
            return operation.map { (parameter.gradient, $0) }
        }
    }

    private func template(
        _ rows: CapturedRows, side: FactorSide, appendsOnes: Bool, samples: Int, inputRows: Int, positions: Int,
        probes: Int
    ) -> FactorOperation? {
        let normalization = spec.curvature.normalization
        let probes: GradientProbes =
            spec.curvature.hasExactProbes ? .exactBasis(outputCount: probes) : .monteCarlo(count: probes)
        guard let counts = try? SampleCounts(samples: samples, rows: inputRows, probes: probes) else { return nil }
        let reduction = normalization.positionReduction(of: side, positions: positions)
        let group = reduction == .none ? 1 : positions
        return FactorOperation(
            columns: rows.columns, appendsOnes: appendsOnes, elementType: rows.elementType, rowSlices: rows.slices,
            chunkRows: max(group, min(limits.chunkRows, rows.rows) / group * group),
            reduction: reduction, divisor: normalization.divisor(of: side, counts: counts))
    }

    private mutating func planFactor(
        _ name: FactorName, of task: TaskName, dimension: Int, rows: CapturedRows, template: FactorOperation
    ) -> UnitOutput {
        let multiplyAdds = Double(dimension) * Double(dimension) * Double(rows.rows)
        let chunks = (rows.rows + template.chunkRows - 1) / template.chunkRows
        // Limit the number by the chunks before the conversion to an integer: a hostile file may state any dimension.
        // Only the worker knows where samples of different lengths end, so such a factor is not split.
        let isSplit = template.sampleReduction == nil
        let parts =
            isSplit ? max(1, Int(min(Double(chunks), (multiplyAdds / limits.partMultiplyAdds).rounded(.up)))) : 1
        let title = "factor \"\(name)\" of task \"\(task)\""
        guard parts > 1 else {
            return UnitOutput(add(template, title: title, about: rows.tensor, block: name.owner))
        }
        let rowsPerPart = (chunks + parts - 1) / parts * template.chunkRows
        var outputs: [UnitOutput] = []
        for first in stride(from: 0, to: rows.rows, by: rowsPerPart) {
            var part = template
            part.rowSlices = rows.slices(of: first..<min(first + rowsPerPart, rows.rows))
            part.divisor = nil
            outputs.append(
                UnitOutput(
                    add(part, title: "\(title), rows from \(first)", about: rows.tensor, block: name.owner)))
        }
        let combine = CombineOperation(
            partCount: outputs.count, dimension: dimension, divisor: template.divisor ?? 1)
        return UnitOutput(
            add(
                combine, reading: outputs, title: "sum of the parts of \(title)", about: name.description,
                block: name.owner))
    }

    private mutating func planImport(of task: TaskName, from set: FactorSetInventory) {
        for block in blocks {
            for (side, _) in block.factors {
                let name = FactorName(owner: block.name, side: side)
                guard let factor = set.factors[name] else { continue }
                let operation = ImportOperation(
                    dimension: factor.dimension, elementType: factor.elementType, isPacked: factor.isPacked,
                    slice: factor.slice)
                products[block.name, .factor(side, of: task)] = UnitOutput(
                    add(
                        operation, title: "import of factor \"\(name)\" of task \"\(task)\"",
                        about: name.description, block: block.name))
            }
        }
    }

    // MARK: - Inverses

    private mutating func planInversion(for target: TargetName) {
        for block in blocks {
            for (side, dimension) in block.factors {
                let name = FactorName(owner: block.name, side: side)
                guard let factor = products[block.name, .regularizer(side, term: 0, of: target)] else { continue }
                let operation = InvertOperation(
                    dimension: dimension, isFullBlock: block.factors.count == 1, damping: spec.curvature.damping)
                products[block.name, .inverse(side, of: target)] = UnitOutput(
                    add(
                        operation, reading: [factor], title: "inverse of \"\(name)\" for target \"\(target)\"",
                        about: name.description, block: block.name))
            }
        }
    }

    // MARK: - Penalties

    /// A task vector, and whether the merge gives it weight 0 in a block.
    ///
    /// With weight 0 its values there affect no other task.
    private typealias Vector = (checkpoint: CheckpointInventory, isUnweighted: Bool)

    private func vectors(of tasks: [TaskSpec], in block: CurvatureBlock, _ settings: MergeSettings) -> [Vector] {
        tasks.compactMap { task in
            inventory.checkpoints[task.name].map { checkpoint in
                (checkpoint, block.tensors.allSatisfy { settings.weight(of: task, tensor: $0) == 0 })
            }
        }
    }

    private mutating func planPenalties() {
        let settings = MergeSettings(spec: spec, base: inventory.base)
        for block in blocks where copied.mergesWhole(block) {
            let merged = vectors(of: spec.mergedTasks, in: block, settings)
            for task in spec.curvedTasks {
                guard let factors = outputs(of: block, for: { .factor($0, of: task.name) }) else { continue }
                products[block.name, .interference(with: task.name)] = addPenalty(
                    block, factors, vectors: merged,
                    title: "interference with task \"\(task.name)\" in \"\(block.name)\"")
            }
            for case .without(let task) in targets {
                let own = vectors(of: spec.mergedTasks.filter { $0.name == task }, in: block, settings)
                guard let vector = own.first else { continue }
                planPenalty(block, of: task, vector)
            }
        }
    }

    /// Plans the penalty of a task's own vector: a sum over the regularizer's Kronecker products.
    private mutating func planPenalty(_ block: CurvatureBlock, of task: TaskName, _ vector: Vector) {
        for term in 0..<(spec.curvature.regularizer.termCount ?? 0) {
            guard let factors = outputs(of: block, for: { .regularizer($0, term: term, of: .without(task)) }) else {
                continue
            }
            let product = term > 0 ? ", Kronecker product \(term + 1)" : ""
            products[block.name, .penalty(of: task, term: term)] = addPenalty(
                block, factors, vectors: [vector],
                title: "penalty of task \"\(task)\" in \"\(block.name)\"\(product)")
        }
    }

    private mutating func addPenalty(
        _ block: CurvatureBlock, _ factors: [UnitOutput], vectors: [Vector], title: String
    ) -> UnitOutput {
        let operation = PenaltyOperation(
            block: block.kind, base: parameters(block, in: inventory.base),
            checkpoints: vectors.map { parameters(block, in: $0.checkpoint) },
            unweighted: vectors.indices.filter { vectors[$0].isUnweighted })
        return UnitOutput(add(operation, reading: factors, title: title, about: block.name, block: block.name))
    }

    // MARK: - Files

    private mutating func planFiles() {
        if spec.outputs.contains(.factors) {
            for task in spec.curvedTasks {
                let outputs = products.outputs(of: blocks) { .factor($0, of: task.name) }
                addFile(.assembleFactors(task.name), of: outputs, title: "factor file of task \"\(task.name)\"")
            }
        }
        for target in targets {
            if spec.outputs.contains(.regularizer) {
                let sets = spec.regularizerSets(of: target)
                addFile(
                    .assembleRegularizer(target),
                    of: sets.flatMap { products.outputs(of: blocks, for: $0.purpose) },
                    title: "regularizer file of target \"\(target)\"", setCount: sets.count)
            }
            if spec.outputs.contains(.inverses) {
                addFile(
                    .assembleInverses(target), of: products.outputs(of: blocks) { .inverse($0, of: target) },
                    title: "inverses file of target \"\(target)\"")
            }
        }
    }

    private mutating func addFile(
        _ operation: CoordinatorOperation, of outputs: [UnitOutput], title: String, setCount: Int = 1
    ) {
        let bytes = blocks.flatMap(\.factors).reduce(UInt64(0)) { $0.saturatingSum(.square($1.dimension)) }
            .saturatingProduct(UInt64(setCount))
        _ = add(
            operation, after: outputs.map(\.unit).sorted(),
            cost: .streaming(inputBytes: bytes / 2, outputBytes: bytes), title: title)
    }
}
