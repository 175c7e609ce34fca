public import Identifiers

extension JobPlan {
    /// The outputs of other units that a unit reads, in reading order.
    ///
    /// A unit that only waits for others, such as the report, reads none of their blobs.
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

    /// A worker unit's key, when the digests of its input blobs are known.
    ///
    /// - Parameters:
    ///   - unit: The unit.
    ///   - digest: An input's digest, or `nil` when unknown.
    /// - Returns: The key, or `nil` for a coordinator's unit or a unit with unknown inputs.
    public func key(of unit: WorkUnit, digest: (UnitOutput) -> BlobDigest?) -> UnitKey? {
        guard case .worker(let operation) = unit.operation else { return nil }
        struct UnknownInput: Error {}
        let named = try? operation.mapBlobs { (output: UnitOutput) throws(UnknownInput) in
            guard let known = digest(output) else { throw UnknownInput() }
            return known
        }
        return named.map { UnitKey(of: $0, files: inventory.files) }
    }

    /// The outputs block by block, so that the order does not depend on a dictionary.
    private func inBlockOrder(_ outputs: [FactorName: UnitOutput]) -> [UnitOutput] {
        blocks.flatMap { block in
            block.factors.compactMap { outputs[FactorName(owner: block.name, side: $0.side)] }
        }
    }

    /// One blob for each parameter of each block that is merged by factors.
    private var mergedParameters: [UnitOutput] {
        blocks.flatMap { block in
            block.parameters.indices.compactMap { position in
                blockMerges[block.name].map { UnitOutput($0, position) }
            }
        }
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
            ?? tasks.filter { $0.hasCurvature && target.includes($0.name) }.map { factors[$0.name] ?? [:] }
    }
}

extension WorkUnit {
    /// The number of blobs that the unit makes.
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
