import Identifiers
import JobPlan
import Safetensors

/// Weights that cannot be summed must be the same in the base and in every model: then the base's may be copied.
///
/// They are compared in full as long as that reads no more than ``fullBytes``, then by samples; the merge compares all
/// of them once more, byte for byte, while it copies them.
struct EncodedWeights {
    /// Bytes that are read of the checkpoints of a job before samples must do.
    private static let fullBytes: UInt64 = 1 << 30
    /// Tensors that a message names.
    private static let namesMax = 5

    let spec: JobSpec
    let inventory: JobInventory
    let comparison: TensorComparison

    /// What is wrong with the job's checkpoints: one sentence a model.
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
                // What a model lacks, it holds in another form: the base's is not what it learnt.
                guard let own = checkpoint.tensors[tensor.name] else { return true }
                return differ(tensor, own, &budget)
            }
            // Packed integers that only the model has are no buffers that could be left out.
            let further = checkpoint.tensors.values.filter { tensor in
                inventory.base.tensors[tensor.name] == nil && tensor.isBuffer && kinds.kind(of: tensor) == .encoded
                    && !ignored.contains(tensor.name) && settings.weight(of: task, tensor: tensor.name) != 0
            }
            let found = differing + further.sorted { $0.name < $1.name }
            guard !found.isEmpty else { return nil }
            return JobProblem(at: checkpoint.location, Self.message(found, task: task.name))
        }
    }

    /// Tensors that cannot be read count as equal here: the merge tells why they cannot be.
    private func differ(_ left: TensorInventory, _ right: TensorInventory, _ budget: inout UInt64) -> Bool {
        let cost = left.slice.byteCount.saturatingDouble
        guard cost <= budget else { return (try? comparison.samplesDiffer(left, right)) ?? false }
        budget -= cost
        return (try? comparison.differ(left, right)) ?? false
    }

    /// What is said of a model whose weights cannot be summed, and differ.
    static func message(_ tensors: [TensorInventory], task: TaskName) -> String {
        let names = tensors.prefix(namesMax).map { "\"\($0.name.excerpt)\"" }.joined(separator: ", ")
        let more = tensors.count > namesMax ? " and \(tensors.count - namesMax) more" : ""
        let types = Set(tensors.map(\.elementType)).sorted().joined(separator: ", ")
        let subject =
            tensors.count == 1 ? "the tensor \(names) holds" : "\(tensors.count) tensors (\(names)\(more)) hold"
        return
            "\(subject) weights of task \"\(task)\" as \(types), which cannot be summed, and differ from the base's: "
            + "copying the base's would lose what the model learnt. Dequantise the base and the models to BF16 or F16, "
            + "merge them, and quantise the result; or give the task the weight 0 there, or add them to \"ignore\" to keep "
            + "the base's."
    }
}

extension UInt64 {
    /// Twice the number, or the largest one when that does not fit.
    fileprivate var saturatingDouble: UInt64 {
        let (product, overflow) = multipliedReportingOverflow(by: 2)
        return overflow ? .max : product
    }
}
