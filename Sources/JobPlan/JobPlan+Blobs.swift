public import Identifiers

extension JobPlan {
    /// The outputs of other units that a unit reads, in the order in which it reads them.
    ///
    /// Units that only need others to be finished, such as the report, read none of their blobs.
    public func blobs(readBy unit: WorkUnit) -> [UnitOutput] {
        switch unit.operation {
        case .worker(let operation): operation.blobs
        case .coordinator(.assembleFactors(let task)): inBlockOrder(factorOutputs[task] ?? [:])
        case .coordinator(.assembleRegularizer(let target)):
            spec.regularizerSets(for: target, terms: regularizerTerms, factors: factorOutputs).flatMap(inBlockOrder)
        case .coordinator(.assembleInverses(let target)):
            inBlockOrder((inversions[target] ?? [:]).mapValues { UnitOutput($0) })
        case .coordinator(.mergeCheckpoint): mergedParameters
        case .coordinator(.digestInputs), .coordinator(.writeReport), .coordinator(.publish): []
        }
    }

    /// A worker unit's key, once the blobs that it reads are known.
    ///
    /// - Parameters:
    ///   - unit: The unit.
    ///   - digest: An input's digest, when it is known.
    /// - Returns: The key, or `nil` for a unit of the coordinator's or one with unknown inputs.
    public func key(of unit: WorkUnit, digest: (UnitOutput) -> BlobDigest?) -> UnitKey? {
        guard case .worker(let operation) = unit.operation else { return nil }
        struct UnknownInput: Error {}
        let named = try? operation.mapBlobs { (output: UnitOutput) throws(UnknownInput) in
            guard let known = digest(output) else { throw UnknownInput() }
            return known
        }
        return named.map { UnitKey(of: $0, files: inventory.files) }
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
    public var blobCount: Int {
        guard case .worker(let operation) = operation else { return 0 }
        return switch operation {
        case .factor, .importFactor, .combine, .invert: 1
        case .accumulate(let operation): operation.exclusions.count
        case .accumulateOptimal(let operation): 2 * operation.exclusions.count * operation.rank
        case .penalty: 0
        case .mergeBlock(let operation): operation.block.parameters.count
        }
    }
}
