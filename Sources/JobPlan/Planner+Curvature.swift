import Identifiers
import KroneckerFactors
import LinearAlgebra
import UnitOperations

/// Factors, sums over tasks, inverses, penalties, and the files that hold them.
extension Planner {
    /// Plans all units for curvature.
    mutating func planCurvature() {
        guard needsFactors else { return }
        for task in spec.curvedTasks { planFactors(of: task.name) }
        planAccumulation()
        planJointRows()
        invertedTargets.forEach { planInversion(for: $0) }
        if measuresInterference { planPenalties() }
        planCompression()
        planFiles()
    }

    // MARK: - Inverses

    private mutating func planInversion(for target: TargetName) {
        for (position, block) in blocks.enumerated() {
            for (side, shape) in block.factors {
                guard let factor = products[block: position, .regularizer(side, term: 0, of: target)] else { continue }
                let name = FactorName(owner: block.name, side: side).description
                let operation = InvertOperation(
                    shape: shape, isFullBlock: block.factors.count == 1, damping: spec.curvature.damping)
                products[block: position, .inverse(side, of: target)] = UnitOutput(
                    add(
                        operation, reading: [factor], title: "inverse of \"\(name)\" for target \"\(target)\"",
                        about: name, block: block.name))
            }
        }
    }

    // MARK: - Penalties

    /// A task vector, and whether the merge gives it weight 0 in a block.
    ///
    /// With weight 0 its values there affect no other task.
    typealias Vector = (checkpoint: CheckpointInventory, isUnweighted: Bool)

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
                guard let factors = outputs(of: block, for: { .balancedFactor($0, of: task.name) }) else { continue }
                products[block.name, .interference(with: task.name)] = addPenalty(
                    block, factors, vectors: merged,
                    title: "interference with task \"\(task.name)\" in \"\(block.name)\"")
            }
            for case .without(let task) in targets {
                let own = vectors(of: spec.mergedTasks.filter { $0.name == task }, in: block, settings)
                guard let vector = own.first else { continue }
                planPenalty(block, of: task, vector)
                planJointDrift(block, of: task, vector)
            }
        }
        for case .without(let task) in targets { planJointPenalty(of: task) }
    }

    /// Plans the penalty of a task's own vector: a sum over the regularizer's Kronecker products.
    ///
    /// Of pseudo-rows it is that of the factors of the floor.
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
                let outputs = products.fileOutputs(
                    of: blocks, for: { .factor($0, of: task.name) },
                    compressed: { .compressedFactor($0, of: task.name) })
                // The file states the scalars.
                let balances = products.outputs(for: .balance(of: task.name)).map(\.output)
                let rows = jointFile(of: .task(task.name))
                addFile(
                    .assembleFactors(task.name), of: outputs + balances + rows.units,
                    title: "factor file of task \"\(task.name)\"", as: spec.curvature.compression?.form,
                    rowBytes: rows.byteCount)
            }
        }
        for target in targets {
            if spec.outputs.contains(.regularizer) {
                let sets = spec.regularizerSets(of: target)
                let rows = jointFile(of: .target(target))
                addFile(
                    .assembleRegularizer(target),
                    of: sets.flatMap {
                        products.fileOutputs(of: blocks, for: $0.purpose, compressed: $0.compressedPurpose)
                    } + rows.units,
                    title: "regularizer file of target \"\(target)\"", setCount: sets.count,
                    as: spec.curvature.compression?.form,
                    rowBytes: rows.byteCount)
            }
            if spec.outputs.contains(.inverses) {
                addFile(
                    .assembleInverses(target), of: products.outputs(of: blocks) { .inverse($0, of: target) },
                    title: "inverses file of target \"\(target)\"")
            }
        }
    }

    /// The units that a file's joint rows come from, and their bytes.
    private func jointFile(of owner: JointRowsOwner) -> (units: [UnitOutput], byteCount: UInt64) {
        let tasks = owner.tasks(in: spec)
        let tensors = products.jointTensors(of: owner, blocks: blocks, units: units, tasks: tasks)
        return (
            products.jointUnits(of: owner, blocks: blocks, units: units, tasks: tasks),
            tensors.reduce(0) { $0.saturatingSum($1.byteCount) }
        )
    }

    private mutating func addFile(
        _ operation: CoordinatorOperation, of outputs: [UnitOutput], title: String, setCount: Int = 1,
        as form: CompressedForm? = nil, rowBytes: UInt64 = 0
    ) {
        let bytes = blocks.flatMap(\.factors).reduce(UInt64(0)) { sum, factor in
            guard let form, !factor.shape.isDiagonal else { return sum.saturatingSum(factor.shape.fullBytes) }
            return sum.saturatingSum(UInt64(clamping: form.byteCount(dimension: factor.shape.dimension)))
        }.saturatingProduct(UInt64(setCount))
        _ = add(
            operation, after: outputs.map(\.unit).sorted(),
            cost: .streaming(
                inputBytes: (form == nil ? bytes / 2 : bytes).saturatingSum(rowBytes),
                outputBytes: bytes.saturatingSum(rowBytes)), title: title)
    }
}
