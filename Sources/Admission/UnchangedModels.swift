import Identifiers
import JobPlan
import Safetensors

/// Finds models that change nothing: each holds the base's values in every tensor that is merged with a weight other
/// than 0.
///
/// Such a model is nearly always the wrong directory. Samples find nearly all differences, so only a model that is
/// equal is read in full.
struct UnchangedModels {
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
            guard !pairs.isEmpty else { return misfitting(task, checkpoint, copied) }
            guard !differ(pairs) else { return nil }
            return JobProblem(
                at: checkpoint.location,
                "the model of task \"\(task.name)\" contributes to no tensor: \(pairs.count) of its tensors are merged "
                    + "with a weight other than 0, and every one holds the values of the base \(inventory.base.location). "
                    + "Name the model that was trained, remove the entry, or write \"allow_unchanged: "
                    + "[\(task.name)]\" to merge it all the same.")
        }
    }

    /// The problem of a model whose tensors have other shapes, all of which the job leaves out.
    private func misfitting(
        _ task: TaskSpec, _ checkpoint: CheckpointInventory, _ copied: CopiedTensors
    ) -> JobProblem? {
        let misfits = copied.names(.mismatchedShape).filter { checkpoint.tensors[$0] != nil }
        guard !misfits.isEmpty else { return nil }
        return JobProblem(
            at: checkpoint.location,
            "the model of task \"\(task.name)\" contributes to no tensor: \(misfits.map { "\"\($0)\"" }.listed(limit: 8)) \(misfits.count == 1 ? "is" : "are") "
                + "kept from the base, because shapes differ (mismatched_shapes: base), and no other is merged. Name the "
                + "model that was trained on this base, remove the entry, or write \"allow_unchanged: [\(task.name)]\"."
        )
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
        try left.elementType == right.elementType
            ? comparison.differ(left, right) : comparison.valuesDiffer(left, right)
    }
}
