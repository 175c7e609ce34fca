import JobPlan
import LinearAlgebra
import Safetensors
import UnitOperations

/// Finds models that change nothing: each holds the base's values in every tensor that is merged with a weight other
/// than 0.
///
/// Such a model is nearly always the wrong directory. Samples find nearly all differences, so only a model that is
/// equal is read in full.
struct UnchangedModels {
    /// Elements of tensors of two types that are compared at a time.
    private static let pieceElements = 1 << 16

    let spec: JobSpec
    let inventory: JobInventory
    let comparison: TensorComparison

    /// The problems of the job's models, one sentence for each that is equal to the base and not allowed to be.
    func problems() -> [JobProblem] {
        guard spec.outputs.contains(.merged) else { return [] }
        let settings = MergeSettings(spec: spec, base: inventory.base)
        let copied = CopiedTensors(spec: spec, base: inventory.base)
        let merged = inventory.base.shards.flatMap(\.tensors).filter { copied.reason(of: $0.name) == nil }
        return spec.mergedTasks.compactMap { task in
            // An entry of the base itself is meant, and a notice says what it does.
            guard !spec.allowedUnchanged.contains(task.name), !inventory.baseTasks.contains(task.name),
                let checkpoint = inventory.checkpoints[task.name]
            else { return nil }
            let pairs = merged.filter { settings.weight(of: task, tensor: $0.name) != 0 }.compactMap { tensor in
                checkpoint.tensors[tensor.name].map { (tensor, $0) }
            }
            guard !pairs.isEmpty, !differ(pairs) else { return nil }
            return JobProblem(
                at: checkpoint.location,
                "the model of task \"\(task.name)\" contributes to no tensor: \(pairs.count) of its tensors are merged "
                    + "with a weight other than 0, and every one holds the values of the base \(inventory.base.location). "
                    + "Name the model that was trained, remove the entry, or write \"allow_unchanged: "
                    + "[\(task.name)]\" to merge it all the same.")
        }
    }

    /// Whether any pair differs; tensors that cannot be read count as different, and the merge reports why.
    private func differ(_ pairs: [(TensorInventory, TensorInventory)]) -> Bool {
        let sampled = pairs.lazy.filter { $0.elementType == $1.elementType }
        if sampled.contains(where: { (try? comparison.samplesDiffer($0, $1)) ?? true }) { return true }
        return pairs.contains { base, own in
            // Nobody waits for the result of a check that was ended.
            Task.isCancelled || (try? valuesDiffer(base, own)) ?? true
        }
    }

    /// Whether two tensors differ in any value; their types do not count.
    private func valuesDiffer(_ left: TensorInventory, _ right: TensorInventory) throws -> Bool {
        guard left.elementType != right.elementType else { return try comparison.differ(left, right) }
        guard let leftType = left.floatingType, let rightType = right.floatingType, left.shape == right.shape else {
            return true
        }
        for first in stride(from: 0, to: left.elementCount, by: Self.pieceElements) {
            let elements = first..<min(first + Self.pieceElements, left.elementCount)
            if try values(left, leftType, elements) != values(right, rightType, elements) { return true }
        }
        return false
    }

    private func values(_ tensor: TensorInventory, _ type: ElementType, _ elements: Range<Int>) throws -> [Double] {
        let range = elements.lowerBound * type.byteCount..<elements.upperBound * type.byteCount
        let bytes = try comparison.bytes(of: tensor, range)
        var values = [Double](repeating: 0, count: elements.count)
        var target = values.mutableSpan
        try type.decode(bytes.span.bytes, into: &target)
        return values
    }
}
