public import Identifiers
public import UnitOperations

extension JobPlan {
    /// The outputs of other units that a unit reads, in the order in which it reads them.
    ///
    /// Units that only need others to be finished, such as the report, read none of their blobs.
    public func blobs(readBy unit: WorkUnit) -> [UnitOutput] {
        switch unit.work {
        case .worker: unit.inputs
        case .coordinator(.assembleFactors(let task)): inBlockOrder(factorOutputs[task] ?? [:])
        case .coordinator(.assembleRegularizer(let target)):
            spec.regularizerSets(for: target, terms: regularizerTerms, factors: factorOutputs).flatMap(inBlockOrder)
        case .coordinator(.assembleInverses(let target)):
            inBlockOrder((inversions[target] ?? [:]).mapValues { UnitOutput($0) })
        case .coordinator(.mergeCheckpoint): mergedParameters
        case .coordinator(.digestInputs), .coordinator(.writeReport), .coordinator(.publish): []
        }
    }

    /// What a worker reads of other units for a unit.
    ///
    /// - Parameters:
    ///   - unit: A unit of workers.
    ///   - result: A unit's result, when it is known.
    /// - Returns: The inputs, or `nil` when one of them is not known.
    public func inputs(of unit: WorkUnit, result: (UnitIndex) -> UnitResult?) -> UnitInputs? {
        var inputs = UnitInputs()
        for output in unit.inputs {
            guard let blobs = result(output.unit)?.blobs, blobs.indices.contains(output.position) else { return nil }
            inputs.blobs.append(blobs[output.position])
        }
        for measurement in unit.inputNumbers {
            guard let numbers = result(measurement.unit)?.measurements[measurement.name] else { return nil }
            inputs.numbers.append(numbers)
        }
        return inputs
    }

    /// A worker unit's key, once what it reads is known.
    ///
    /// - Parameters:
    ///   - unit: The unit.
    ///   - result: A unit's result, when it is known.
    /// - Returns: The key, or `nil` for a unit of the coordinator's or one with unknown inputs.
    public func key(of unit: WorkUnit, result: (UnitIndex) -> UnitResult?) -> UnitKey? {
        guard let operation = unit.operation, let inputs = inputs(of: unit, result: result) else { return nil }
        return UnitKey(of: operation, inputs: inputs, files: inventory.files)
    }

    /// Block by block, so that the order does not depend on a dictionary's.
    private func inBlockOrder(_ outputs: [FactorName: UnitOutput]) -> [UnitOutput] {
        blocks.flatMap { block in
            block.factors.compactMap { outputs[FactorName(owner: block.name, side: $0.side)] }
        }
    }

    /// A blob for each parameter of each block that was merged by factors.
    private var mergedParameters: [UnitOutput] {
        blocks.flatMap { block in
            block.parameters.indices.compactMap { position in
                blockMerges[block.name].map { UnitOutput($0, position) }
            }
        }
    }
}

extension JobSpec {
    /// The matrices of a target's regularizer file: a set a Kronecker product, or a set a task.
    ///
    /// - Parameters:
    ///   - target: What the regularizer is for.
    ///   - terms: The Kronecker products of the targets that are sums over tasks.
    ///   - factors: Each task's factors.
    /// - Returns: The sets, in the order of the file.
    func regularizerSets(
        for target: TargetName, terms: [TargetName: [[FactorName: UnitOutput]]],
        factors: [TaskName: [FactorName: UnitOutput]]
    ) -> [[FactorName: UnitOutput]] {
        terms[target]
            ?? tasks.filter { $0.hasCurvature && target.includes($0.name) }.map { factors[$0.name] ?? [:] }
    }
}

extension WorkUnit {
    /// Number of the blobs that the unit makes.
    public var blobCount: Int { operation?.outputBlobCount ?? 0 }
}
