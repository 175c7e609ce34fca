import Identifiers
import JobPlan
import Safetensors

/// Finds changes that an adapter cannot hold: those of tensors that are no matrices of modules.
///
/// Such tensors are small, norms and biases, so they are read in full.
struct UnexportedChanges {
    let spec: JobSpec
    let inventory: JobInventory
    let comparison: TensorComparison

    /// The problem of the job, with the names of the tensors; none for a job that writes a model.
    func problems() -> [JobProblem] {
        guard spec.outputs.contains(.merged), spec.checkpoint.adapterRank != nil else { return [] }
        let export = AdapterExport(spec: spec, inventory: inventory)
        let changed = export.others.filter { tensor in
            export.terms(of: tensor).contains { _, own, _ in
                Task.isCancelled || (try? comparison.valuesDiffer(tensor, own)) ?? true
            }
        }
        return spec.problems(ofChanged: changed)
    }
}
