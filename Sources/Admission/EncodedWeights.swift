public import Identifiers
public import JobPlan
import UnitOperations

/// Checks that weights in a form that cannot be summed are equal in the base and all models, so that they may be
/// copied.
///
/// They are compared in full while that reads at most ``fullBytes``, and then by samples. The merge compares all of
/// them again, byte for byte, while it copies them.
public struct EncodedWeights {
    /// The most bytes of a job's checkpoints that are compared in full.
    private static let fullBytes: UInt64 = 1 << 30
    /// The most tensors that a message names.
    private static let namesMax = 5

    let spec: JobSpec
    let inventory: JobInventory
    let comparison: TensorComparison

    /// The problems of the job's checkpoints, one sentence for each model.
    func problems() -> [JobProblem] {
        guard spec.outputs.contains(.merged) else { return [] }
        let kinds = inventory.tensorKinds
        let ignored = IgnoredTensors(spec)
        let encoded = inventory.base.shards.flatMap(\.tensors).filter {
            kinds.kind(of: $0) == .encoded && !ignored.contains($0.name)
        }
        let settings = MergeSettings(spec: spec, base: inventory.base)
        var budget = Self.fullBytes
        return spec.tasks.compactMap { task in
            guard let checkpoint = inventory.checkpoints[task.name] else { return nil }
            let differing = encoded.filter { tensor in
                guard settings.weight(of: task, tensor: tensor.name) != 0 else { return false }
                // The model holds this tensor in another form, so the base's tensor is not what the model learnt.
                guard let own = checkpoint.tensors[tensor.name] else { return true }
                return differ(tensor, own, &budget)
            }
            // Packed integers that only the model has are not buffers, so they must not be left out.
            let further = checkpoint.tensors.values.filter { tensor in
                inventory.base.tensors[tensor.name] == nil && tensor.isBuffer && kinds.kind(of: tensor) == .encoded
                    && !ignored.contains(tensor.name) && settings.weight(of: task, tensor: tensor.name) != 0
            }
            let found = differing + further.sorted { $0.name < $1.name }
            guard !found.isEmpty else { return nil }
            return JobProblem(
                at: checkpoint.location, Self.message(found, task: task.name, form: checkpoint.quantizedForm))
        }
    }

    /// Unreadable tensors count as equal here; the merge reports why they cannot be read.
    private func differ(_ left: TensorInventory, _ right: TensorInventory, _ budget: inout UInt64) -> Bool {
        let cost = left.slice.byteCount.saturatingDouble
        guard cost <= budget else { return (try? comparison.samplesDiffer(left, right)) ?? false }
        budget -= cost
        return (try? comparison.differ(left, right)) ?? false
    }

    /// The message about a model whose weights cannot be summed and differ.
    public static func message(_ tensors: [TensorInventory], task: TaskName, form: String? = nil) -> String {
        let names = tensors.prefix(namesMax).map { "\"\($0.name.excerpt)\"" }.joined(separator: ", ")
        let more = tensors.count > namesMax ? " and \(tensors.count - namesMax) more" : ""
        let types = Set(tensors.map(\.elementType)).sorted().joined(separator: ", ")
        let subject =
            tensors.count == 1 ? "the tensor \(names) holds" : "\(tensors.count) tensors (\(names)\(more)) hold"
        let parameters = tensors.filter { $0.floatingType != nil }.count
        let content =
            parameters == 0
            ? "weights" : parameters == tensors.count ? "parameters of coded weights" : "weights and their parameters"
        let quantizer = form.map { " of \($0)" } ?? ""
        return
            "\(subject) \(content) of task \"\(task)\" as \(types)\(quantizer), which cannot be summed, and differ from the base's: "
            + "copying the base's would lose what the model learnt. Dequantise the base and the models to BF16 or F16, "
            + "merge them, and quantise the result; or give the task the weight 0 there, or add them to \"ignore\" to keep "
            + "the base's."
    }
}

extension UInt64 {
    /// Twice the number, or the largest number on overflow.
    fileprivate var saturatingDouble: UInt64 {
        let (product, overflow) = multipliedReportingOverflow(by: 2)
        return overflow ? .max : product
    }
}
