public import Identifiers
public import UnitOperations

/// The counts behind one task's factors of a block.
public struct BlockCounts: Equatable, Sendable {
    /// N of the block.
    public var samples: Int
    /// The layer's input rows; `nil` for a parameter, and where a factor set does not state them.
    public var rows: Int?
}

extension JobInventory {
    /// N_t, the number of samples of a task's captures, partial sums or factors.
    public func samples(of task: TaskName) -> Int {
        factorSets[task]?.samples ?? partials[task]?.samples ?? captures[task]?.samples ?? 0
    }

    /// The counts behind a task's factors of a block; `nil` for a block of which the task states nothing.
    public func counts(of block: CurvatureBlock, in task: TaskName) -> BlockCounts? {
        if isEmpty(block, in: task) { return BlockCounts(samples: 0, rows: 0) }
        if !block.uses.isEmpty, factorSets[task]?.uses[block.name] == nil {
            // The uses of a weight have rows of their own.
            let samples = block.layers.compactMap { counts(of: $0, in: task)?.samples }
            return samples.max().map { BlockCounts(samples: $0) }
        }
        if let set = factorSets[task] {
            guard block.factors.allSatisfy({ set.factors[FactorName(owner: block.name, side: $0.side)] != nil }) else {
                return nil
            }
            return BlockCounts(samples: set.ownSamples[block.name] ?? set.samples, rows: set.rows[block.name])
        }
        if let counts = partials[task]?.counts[block.name] {
            return BlockCounts(samples: counts.samples, rows: counts.rows > 0 ? counts.rows : nil)
        }
        if let layer = captures[task]?.layers[LayerName(rawValue: block.name)] {
            return BlockCounts(samples: layer.samples, rows: layer.input.rows)
        }
        return captures[task]?.parameters[ParameterName(rawValue: block.name)].map { BlockCounts(samples: $0.samples) }
    }

    /// The layers and parameters of which a task states that it has no rows.
    func emptyBlocks(of task: TaskName) -> [String] {
        (captures[task].map { Array($0.emptyBlocks.keys) } ?? [])
            + (factorSets[task]?.rows.filter { $0.value == 0 }.map(\.key) ?? [])
            + (partials[task]?.counts.keys.filter { isEmpty($0, in: task) } ?? [])
    }

    /// Whether a task has no curvature in a block: none of its uses has rows.
    public func isEmpty(_ block: CurvatureBlock, in task: TaskName) -> Bool {
        if factorSets[task]?.uses[block.name] != nil { return isEmpty(block.name, in: task) }
        return block.layers.allSatisfy { isEmpty($0.name, in: task) }
    }

    /// The captured layers behind a task's factors of a block, without those that no row reached.
    ///
    /// A finished factor set may hold the sum over the uses already.
    func layers(of block: CurvatureBlock, in task: TaskName) -> [CurvatureBlock] {
        guard !isEmpty(block, in: task) else { return [] }
        if factorSets[task]?.uses[block.name] != nil { return [block.withoutUses] }
        return block.layers.filter { !isEmpty($0.name, in: task) }
    }

    /// Whether a task states that it has no rows of a layer or parameter: then it has no curvature there.
    public func isEmpty(_ block: String, in task: TaskName) -> Bool {
        if let partials = partials[task], let counts = partials.counts[block] {
            let isParameter = partials.sums[FactorName(owner: block, side: .full)] != nil
            return counts.samples == 0 || (counts.rows == 0 && !isParameter)
        }
        return captures[task]?.emptyBlocks[block] != nil || factorSets[task]?.rows[block] == 0
    }
}

extension CurvatureBlock {
    /// The block as one layer.
    fileprivate var withoutUses: CurvatureBlock { CurvatureBlock(name: name, kind: kind, regions: regions) }
}
