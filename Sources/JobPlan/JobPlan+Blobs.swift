public import Identifiers
public import UnitOperations

extension JobPlan {
    /// The outputs of other units that a unit reads, in reading order.
    ///
    /// A unit that only waits for others, such as the report, reads none of their blobs.
    public func blobs(readBy unit: WorkUnit) -> [UnitOutput] {
        switch unit.work {
        case .worker: unit.inputs
        case .coordinator(.assembleFactors(let task)): inBlockOrder(factorOutputs[task] ?? [:])
        case .coordinator(.assembleRegularizer(let target)):
            spec.regularizerSets(for: target, terms: regularizerTerms, factors: factorOutputs).flatMap(inBlockOrder)
        case .coordinator(.assembleInverses(let target)):
            inBlockOrder((inversions[target] ?? [:]).mapValues { UnitOutput($0) })
        case .coordinator(.mergeCheckpoint): mergedParameters.map(\.output)
        case .coordinator(.digestInputs), .coordinator(.writeReport), .coordinator(.publish): []
        }
    }

    /// The outputs of other units that a worker reads for a unit.
    ///
    /// - Parameters:
    ///   - unit: A unit of workers.
    ///   - result: A unit's result, or `nil` when unknown.
    /// - Returns: The inputs, or `nil` when one of them is unknown.
    public func inputs(of unit: WorkUnit, result: (UnitIndex) -> UnitResult?) -> UnitInputs? {
        var inputs = UnitInputs()
        for output in unit.inputs {
            guard let blob = result(output.unit)?.blob(at: output.position) else { return nil }
            inputs.blobs.append(blob)
        }
        for measurement in unit.inputNumbers {
            guard let numbers = result(measurement.unit)?.measurements[measurement.name] else { return nil }
            inputs.numbers.append(numbers)
        }
        return inputs
    }

    /// A worker unit's key, when its inputs are known.
    ///
    /// - Parameters:
    ///   - unit: The unit.
    ///   - result: A unit's result, or `nil` when unknown.
    /// - Returns: The key, or `nil` for a coordinator's unit or a unit with unknown inputs.
    public func key(of unit: WorkUnit, result: (UnitIndex) -> UnitResult?) -> UnitKey? {
        guard let operation = unit.operation, let inputs = inputs(of: unit, result: result) else { return nil }
        return UnitKey(of: operation, inputs: inputs, files: inventory.files)
    }

    /// The outputs block by block, so that the order does not depend on a dictionary.
    private func inBlockOrder(_ outputs: [FactorName: UnitOutput]) -> [UnitOutput] {
        blocks.flatMap { block in
            block.factors.compactMap { outputs[FactorName(owner: block.name, side: $0.side)] }
        }
    }

    /// The parameters that workers merge, each with its blob: those of blocks, then whole tensors.
    public var mergedParameters: [(name: String, output: UnitOutput)] {
        let ofBlocks = blocks.flatMap { block in
            block.parameters.enumerated().compactMap { position, name in
                blockMerges[block.name].map { (name: name, output: UnitOutput($0, position)) }
            }
        }
        return ofBlocks + tensorMerges.sorted { $0.key < $1.key }.map { (name: $0, output: UnitOutput($1)) }
    }
}

extension JobSpec {
    /// The matrices of a target's regularizer file: one set for each Kronecker product, or one for each task.
    ///
    /// - Parameters:
    ///   - target: The target of the regularizer.
    ///   - terms: The Kronecker products of targets that are sums over tasks.
    ///   - factors: Each task's factors.
    /// - Returns: The sets, in the order of the file.
    func regularizerSets(
        for target: TargetName, terms: [TargetName: [[FactorName: UnitOutput]]],
        factors: [TaskName: [FactorName: UnitOutput]]
    ) -> [[FactorName: UnitOutput]] {
        terms[target]
            ?? curvedTasks.filter { target.includes($0.name) }.map { factors[$0.name] ?? [:] }
    }
}

extension WorkUnit {
    /// The number of blobs that the unit makes.
    public var blobCount: Int { operation?.outputBlobCount ?? 0 }
}
