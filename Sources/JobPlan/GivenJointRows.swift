public import Identifiers
import LinearAlgebra
public import UnitOperations

/// The joint rows that a task's files bring: those of a finished set, or those of each file of a run's partial sums.
///
/// The rows of a file are those of its own samples. So the task's are those of all files one after the other, each
/// times the root of its share of the samples, and its mean squares are theirs, weighed by these shares.
///
/// Source: DESIGN section 2.2, joint form.
public struct GivenJointRows: Equatable, Sendable {
    /// The joint rows of one file.
    struct Part: Equatable, Sendable {
        let tensors: JointRowTensors
        /// The share of the task's samples.
        let share: Double
    }

    let parts: [Part]
    /// The files, for messages: `factors` or `partial sums`.
    let noun: String

    /// Whether the task has the rows of one file, as they are; those of several are compressed again.
    public var isWhole: Bool { parts.count == 1 }

    /// The share of the trace that the rows of one file keep: of the inputs, of the gradients; `nil` of several.
    public var kept: (inputs: Double, gradients: Double)? {
        guard isWhole, let kept = parts.first?.tensors.kept, kept.count == 2 else { return nil }
        return (kept[0], kept[1])
    }

    /// The codebook by which positions were pooled; `nil` if they were not.
    public var codebook: String? { parts.lazy.compactMap(\.tensors.codebook).first }

    /// The layers whose positions were pooled.
    var pooledLayers: Set<String> { parts.reduce(into: []) { $0.formUnion($1.tensors.pooledRows.keys) } }

    /// The mean rows of a layer's samples over all files; `nil` unless its positions were pooled.
    func pooledRows(in layer: String) -> Double? {
        let rows = parts.compactMap { part in part.tensors.pooledRows[layer].map { part.share * $0 } }
        return rows.isEmpty ? nil : rows.reduce(0, +)
    }

    /// The number of rows of a side over all files; `nil` without rows.
    public func rank(_ side: FactorSide, of blocks: [CurvatureBlock]) -> Int? {
        let ranks = parts.compactMap { $0.tensors.rank(side, of: blocks) }
        guard ranks.count == parts.count, !ranks.isEmpty else { return nil }
        return ranks.reduce(0) { $0.saturatingSum($1) }
    }

    /// The import of a block's side; `nil` without such rows, or if their shapes contradict the block or each other.
    func operation(_ block: CurvatureBlock, _ side: FactorSide) -> ImportJointRowsOperation? {
        let found = parts.compactMap { $0.tensors.imported(block, side, share: $0.share) }
        guard found.count == parts.count, let first = found.first,
            found.allSatisfy({ $0.positions == first.positions && $0.columns == first.columns })
        else { return nil }
        return ImportJointRowsOperation(
            content: side == .input ? .inputs : .gradients, parts: found.map(\.part), positions: first.positions,
            columns: first.columns, pooledRows: pooledRows(in: block.name).flatMap { $0 > 0 ? $0 : nil })
    }

    /// The import of the constant; `nil` without it.
    var constantOperation: ImportJointRowsOperation? {
        let found = parts.compactMap { $0.tensors.importedConstant(share: $0.share) }
        guard found.count == parts.count, !found.isEmpty else { return nil }
        return ImportJointRowsOperation(content: .constant, parts: found, positions: 1, columns: 1)
    }

    /// What the constant lacks: a sentence, or `nil` if it has everything.
    func constantProblem(_ blocks: [CurvatureBlock]) -> String? {
        parts.lazy.compactMap { $0.tensors.constantProblem(blocks) }.first
    }

    /// What a block lacks: a sentence, or `nil` if it has everything.
    func problem(of block: CurvatureBlock, in blocks: [CurvatureBlock]) -> String? {
        parts.lazy.compactMap { part in
            let tensors = part.tensors
            return tensors.problem(of: block, (tensors.rank(.input, of: blocks), tensors.rank(.gradient, of: blocks)))
        }.first
    }
}

extension JobInventory {
    /// The rows of a sample that a layer's A_in is divided by; `nil` unless these tasks pooled its positions.
    ///
    /// The joint rows never hold more than A, if they are divided by those of the task with the longest samples.
    public func pooledRows(in layer: String, of tasks: [TaskName]) -> Double? {
        tasks.lazy.compactMap { givenJointRows(of: $0)?.pooledRows(in: layer) }.max()
    }

    /// The joint rows of a task's finished set or partial sums; `nil` if these have none.
    public func givenJointRows(of task: TaskName) -> GivenJointRows? {
        if let rows = factorSets[task]?.jointRows {
            return GivenJointRows(parts: [.init(tensors: rows, share: 1)], noun: "factors")
        }
        guard let parts = partials[task]?.jointParts, !parts.isEmpty else { return nil }
        let samples = parts.reduce(0.0) { $0 + Double($1.samples) }
        return GivenJointRows(
            parts: parts.map { part in
                // The rows of one file are those of the task, bit by bit.
                GivenJointRows.Part(
                    tensors: part.tensors, share: parts.count == 1 ? 1 : Double(part.samples) / samples)
            }, noun: "partial sums")
    }
}
