import Identifiers
import TaskArithmetic
import UnitOperations

/// What an adapter cannot hold in place of a merged model.
extension JobSpec {
    /// The problems of a job that writes its merge as an adapter; none for one that writes a model.
    func adapterProblems(_ examination: JobExamination) -> [JobProblem] {
        guard outputs.contains(.merged), mergesAnything, let rank = checkpoint.adapterRank else { return [] }
        let inventory = examination.inventory
        guard method.terms == .taskVectors else {
            return [
                adapterProblem(
                    "needs a merge method of task vectors, but \"\(method.name)\" merges the models themselves. Use "
                        + "\"weighted_average\" or \"task_arithmetic\".")
            ]
        }
        if splitsFused { return [adapterProblem("cannot be combined with \"split_fused\". Leave one of them out.")] }
        let export = AdapterExport(spec: self, inventory: inventory)
        if let head = inventory.base.heads.keys.sorted().first {
            return [
                adapterProblem(
                    "cannot hold the head \"\(head.excerpt)\", which the base ties to its embedding and models have apart. "
                        + "Add it to \"ignore\", or write \"form: full\".")
            ]
        }
        if let cut = export.modules.first(where: { inventory.base.tails[$0.tensor.name] != nil }) {
            return [
                adapterProblem(
                    "cannot hold \"\(cut.tensor.name.excerpt)\", of which only some rows are merged. Write "
                        + "\"mismatched_shapes: base\" to leave it out, or \"form: full\".")
            ]
        }
        return orderProblems(export)
            + (rank == .exact ? exactProblems(export, inventory) : sumProblems(export, examination))
    }

    /// The problem of tensors that change and that an adapter cannot hold; none without such tensors.
    public func problems(ofChanged tensors: [TensorInventory]) -> [JobProblem] {
        guard !tensors.isEmpty else { return [] }
        let (are, them) = tensors.count == 1 ? ("is no matrix", "it") : ("are no matrices", "them")
        return [
            adapterProblem(
                "cannot hold changes of \(tensors.map(\.name).quotedList), which \(are) of a module. Add \(them) to "
                    + "\"ignore\", or write \"form: full\".")
        ]
    }

    private func adapterProblem(_ sentence: String) -> JobProblem {
        JobProblem(at: fileName, "\"form: lora\" \(sentence)")
    }

    /// A square weight whose order the one setting of the adapter would tell wrongly.
    private func orderProblems(_ export: AdapterExport) -> [JobProblem] {
        let linear = export.modules.filter { !$0.isEmbedding && $0.inputs == $0.outputs }
        guard export.isFanInFanOut, let square = linear.first(where: { !$0.isTransposed }) else { return [] }
        return [
            adapterProblem(
                "has one setting \"fan_in_fan_out\" for all weights, but \"\(square.tensor.name.excerpt)\" is square and "
                    + "[d_out, d_in], and others are [d_in, d_out]. Declare its layout under \"kfac: {layout: …}\", or "
                    + "write \"form: full\".")
        ]
    }

    /// Concatenated factors are those of a weighted sum of adapters alone.
    private func exactProblems(_ export: AdapterExport, _ inventory: JobInventory) -> [JobProblem] {
        let instead = "Write \"rank\" as a number."
        guard case .elements = method.scope, method.scope.elementwise.isWeightedSum else {
            return [
                adapterProblem(
                    "with \"rank: exact\" needs a weighted sum, but \"\(method.name)\" is none. \(instead)")
            ]
        }
        if let task = mergedTasks.first(where: { inventory.checkpoints[$0.name]?.adapter == nil }) {
            return [
                adapterProblem(
                    "with \"rank: exact\" needs adapters, but the model of task \"\(task.name)\" is none. \(instead)")
            ]
        }
        guard let whole = export.firstWhole() else { return [] }
        return [
            adapterProblem(
                "with \"rank: exact\" needs models that are the base with factors, but task \"\(whole.task)\" has "
                    + "\"\(whole.tensor.excerpt)\" as a whole tensor. \(instead)")
        ]
    }

    /// Matrices whose vectors no unit makes alone.
    private func sumProblems(_ export: AdapterExport, _ examination: JobExamination) -> [JobProblem] {
        let merge = AdapterMatrices(export: export, examination: examination)
        if let joint = merge.joint {
            return [
                adapterProblem(
                    "needs each matrix merged alone, but \"\(joint.excerpt)\" is merged with its bias, or with other "
                        + "tensors, by factors. Leave it out with \"ignore\", or write \"form: full\".")
            ]
        }
        guard !method.scope.elementwise.isWeightedSum, let tensor = merge.summed.first else { return [] }
        return [
            adapterProblem(
                "cannot hold \"\(tensor.tensor.name.excerpt)\", which \"\(method.name)\" merges by a rule for elements. "
                    + "Add it to \"ignore\", or write \"form: full\".")
        ]
    }
}
