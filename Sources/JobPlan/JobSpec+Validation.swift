import Identifiers
import KroneckerFactors
import LinearAlgebra
import NameMatching
import TaskArithmetic
import UnitOperations

extension JobSpec {
    /// All problems of the job against the contents of its files; empty when the job can be planned.
    ///
    /// Source: DESIGN section 1, "validation happens at submit, before any work".
    public func problems(against inventory: JobInventory) -> [JobProblem] {
        JobExamination(self, inventory).problems
    }

    /// The problems of an examination of this job.
    func problems(in examination: JobExamination) -> [JobProblem] {
        let (inventory, selection) = (examination.inventory, examination.selection)
        var problems =
            outputProblems(inventory) + targetProblems() + weightProblems(selection.blocks, inventory)
            + selection.problems
            + methodProblems(inventory) + sliceProblems(inventory) + examination.matrices.problems
            + adapterProblems(examination)
            + blockSettingProblems(selection.blocks, inventory)
            + curvatureWeightProblems(inventory) + groupProblems(selection.blocks)
            + compressionProblems(selection.blocks) + oneDimensionalProblems()
            + jointRowsProblems(selection.blocks, inventory) + quantizationProblems(inventory)
            + tasks.flatMap { inventory.renamings[$0.name]?.problems ?? [] }
        problems += jointMergeProblems(selection.blocks, inventory)
        problems += IgnoredTensors(self).problems(against: inventory) + examination.configurations.problems
        problems += examination.comparisons.flatMap(\.problems)
        for task in tasks {
            problems += curvatureProblems(of: task, inventory)
            // What a task with wrong names lacks follows from them.
            guard inventory.renamings[task.name]?.problems.isEmpty ?? true else { continue }
            let expected = selection.blocks.filter { !selection.renamed.hasRenamed($0.name, in: task.name) }
            problems += curvatureProblems(
                of: task, blocks: expected.flatMap { inventory.layers(of: $0, in: task.name) }, inventory)
            problems += rowCountProblems(of: task, blocks: selection.blocks, inventory)
            problems += useProblems(of: task, selection.blocks, inventory)
            problems += balanceProblems(of: task, selection.blocks, inventory)
        }
        return problems
    }

    // MARK: - What was asked for

    private func outputProblems(_ inventory: JobInventory) -> [JobProblem] {
        var problems: [JobProblem] = []
        let curved = curvedTasks
        let merged = mergedTasks
        for output in [JobOutput.factors, .regularizer, .inverses] where outputs.contains(output) && curved.isEmpty {
            problems.append(
                JobProblem(
                    at: fileName,
                    "the output \"\(output.rawValue)\" needs curvature, but no task has \"captures\" or \"factors\"."))
        }
        if outputs.contains(.merged), !mergesAnything, listedBase == nil {
            problems.append(JobProblem(at: fileName, "the output \"merged\" needs a task with a \"model\"."))
        }
        if outputs.contains(.merged), method.needsFactors {
            for task in merged where !task.hasCurvature {
                problems.append(
                    JobProblem(
                        at: task.location,
                        "the merge method \"\(method.name)\" needs the factors of every merged task, but task "
                            + "\"\(task.name)\" has neither \"captures\" nor \"factors\"."))
            }
        }
        return problems + covarianceProblems() + precisionProblems() + listedBaseProblems() + inverseProblems()
    }

    /// A job that asks for captured covariances must have them.
    private func covarianceProblems() -> [JobProblem] {
        guard canMergeWithFactors, parameters[.covariance] == .word(MergeParameter.capturedWord) else { return [] }
        return mergedTasks.filter { !$0.hasCurvature }.prefix(1).map { task in
            JobProblem(
                at: task.location,
                "\"covariance: captured\" needs the factors of every merged task, but task \"\(task.name)\" has neither "
                    + "\"captures\" nor \"factors\". Give them, or remove \"covariance\".")
        }
    }

    /// A sum of several Kronecker products has no inverse of that form.
    private func inverseProblems() -> [JobProblem] {
        let user: (name: String, remedy: String)
        if outputs.contains(.inverses) {
            user = ("the output \"inverses\"", "Drop the output")
        } else if outputs.contains(.merged), method.scope.inverses != .none {
            user = ("the merge method \"\(method.name)\"", "Use another method")
        } else {
            return []
        }
        let regularizer = curvature.regularizer
        switch regularizer.form {
        case .accumulated: return []
        case .perTask, .pseudoRows:
            return [
                JobProblem(
                    at: fileName,
                    "\(user.name) needs an accumulated regularizer; the form is \"\(regularizer.form.rawValue)\". "
                        + "\(user.remedy) or choose the form \"accumulated\".")
            ]
        case .optimal:
            guard let rank = regularizer.rank, rank.value > 1 else { return [] }
            return [
                JobProblem(
                    at: rank.location,
                    "\(user.name) needs a regularizer of one Kronecker product a layer; the rank is "
                        + "\(rank.value). \(user.remedy) or write \"rank: 1\".")
            ]
        }
    }

    /// With as many products as tasks, the optimal form equals the per-task form.
    private func rankProblems(_ curved: [TaskSpec]) -> [JobProblem] {
        guard curvature.regularizer.form == .optimal, let rank = curvature.regularizer.rank else { return [] }
        let leavesOneOut =
            switch curvature.regularizer.targets {
            case .all: false
            case .leaveOneOut: true
            case .named(let names): names.contains { name in curved.contains { $0.name == name.value } }
            }
        let summed = curved.count - (leavesOneOut ? 1 : 0)
        guard rank.value > summed, summed > 0 else { return [] }
        return [
            JobProblem(
                at: rank.location,
                "the rank is \(rank.value), but the regularizer sums \(summed) \(summed == 1 ? "task" : "tasks"); "
                    + "expected at most \(summed), where nothing is left to approximate. Lower it, or write "
                    + "\"form: per_task\".")
        ]
    }

    private func targetProblems() -> [JobProblem] {
        let curved = curvedTasks
        let mergeProblems =
            outputs.contains(.merged) && method.scope.inverses == .leaveOneOut
            ? leaveOneOutProblems(curved, remedy: "Add tasks, or use another merge method.") : []
        guard outputs.contains(.regularizer) || outputs.contains(.inverses) else { return mergeProblems }
        var problems: [JobProblem] = []
        if case .named(let names) = curvature.regularizer.targets {
            let known = tasks.map(\.name.rawValue)
            for (index, name) in names.filter({ !known.contains($0.value.rawValue) }).enumerated() {
                let meant =
                    index < JobFileLimits.suggestions ? suggestion(for: name.value.rawValue, among: known) : ""
                problems.append(
                    JobProblem(at: name.location, "no task is named \"\(name.value.rawValue.excerpt)\".\(meant)"))
            }
        }
        if curvature.regularizer.targets != .all {
            problems += leaveOneOutProblems(curved, remedy: "Add tasks, or write \"targets: all\".")
        } else {
            problems += mergeProblems
        }
        problems += rankProblems(curved)
        return problems
    }

    private func leaveOneOutProblems(_ curved: [TaskSpec], remedy: String) -> [JobProblem] {
        guard curved.count == 1 else { return [] }
        return [
            JobProblem(
                at: fileName,
                "leaving one task out needs at least two tasks with curvature; there is 1. \(remedy)")
        ]
    }

    private func weightProblems(_ blocks: [CurvatureBlock], _ inventory: JobInventory) -> [JobProblem] {
        guard outputs.contains(.merged), mergesAnything else { return [] }
        let settings = MergeSettings(spec: self, base: inventory.base)
        let shares = TaskShares(spec: self, inventory: inventory)
        let cancelled =
            inventory.base.tensors.keys.sorted().first { tensor in
                (settings.divides(tensor: tensor) || dividesOwnWeights(tensor, settings))
                    && abs(settings.weightSum(tensor: tensor, shares: shares)) < 1e-6
            }
            ?? blocks.first { block in
                // Tasks without curvature in a block do not take part in its merge.
                let tensor = block.tensors[0]
                let isPresent = { (task: TaskSpec) in !inventory.isEmpty(block, in: task.name) }
                let shares = sharesEqually(block) ? shares.equal : shares
                return method.needsFactors && settings.divides(tensor: tensor)
                    && mergedTasks.contains { isPresent($0) && settings.weight(of: $0, tensor: tensor) != 0 }
                    && abs(settings.weightSum(tensor: tensor, shares: shares, among: isPresent)) < 1e-6
            }?.tensors[0]
        guard let cancelled else { return [] }
        return [
            JobProblem(
                at: fileName,
                "the weights of tensor \"\(cancelled)\" sum to zero within 1e-6, so they cannot be divided by their sum. "
                    + "For negation use \"merge_method: task_arithmetic\" without \"normalize\".")
        ]
    }

    /// Whether the method's own parameter makes it divide weights by their sum, of models that take part.
    private func dividesOwnWeights(_ tensor: String, _ settings: MergeSettings) -> Bool {
        method.ownParameters.contains(.normalizeWeights)
            && settings.arguments(tensor: tensor)[.normalizeWeights] == .truth(true)
            && mergedTasks.contains { settings.weight(of: $0, tensor: tensor) != 0 }
    }

    // MARK: - Curvature

    private func curvatureProblems(of task: TaskSpec, _ inventory: JobInventory) -> [JobProblem] {
        var problems: [JobProblem] = []
        let isRead =
            inventory.captures[task.name] != nil || inventory.factorSets[task.name] != nil
            || inventory.partials[task.name] != nil
        if isRead, inventory.samples(of: task.name) < 1 {
            problems.append(
                JobProblem(
                    at: task.location, "the curvature of task \"\(task.name)\" has no samples; expected at least one."
                ))
        }
        if let set = inventory.factorSets[task.name], set.normalization != curvature.normalization {
            problems.append(
                JobProblem(
                    at: place(ofFactorsOf: task),
                    "the factors are normalised by \"\(set.normalization.rawValue)\", the job by "
                        + "\"\(curvature.normalization.rawValue)\"; such factors cannot be summed. "
                        + "Set \"normalization\", or make the factors again."))
        }
        return problems
    }

    private func place(ofFactorsOf task: TaskSpec) -> String {
        task.factors.first.map { "factors of task \"\(task.name)\" (\($0.value))" } ?? task.location
    }

    private func curvatureProblems(
        of task: TaskSpec, blocks: [CurvatureBlock], _ inventory: JobInventory
    ) -> [JobProblem] {
        if let captures = inventory.captures[task.name] {
            return CaptureValidation(of: task.name, captures).problems(with: blocks)
        }
        if let set = inventory.factorSets[task.name] {
            let stored = StoredShapes(noun: "factor", verb: "Make", place: place(ofFactorsOf: task)) {
                set.factors[$0]?.shape
            }
            var faults = SharedFaults()
            for block in blocks { stored.check(block, &faults) }
            return faults.problems
        }
        if let partials = inventory.partials[task.name] {
            return PartialsValidation(of: task.name, partials).problems(with: blocks)
        }
        return []
    }

    /// Finished sums over other uses of a weight than the job sums, which cannot be undone.
    private func useProblems(
        of task: TaskSpec, _ blocks: [CurvatureBlock], _ inventory: JobInventory
    ) -> [JobProblem] {
        guard let set = inventory.factorSets[task.name], !set.uses.isEmpty else { return [] }
        var faults = SharedFaults()
        for block in blocks {
            guard let summed = set.uses[block.name] else { continue }
            let uses = block.layers.map(\.name)
            guard Set(summed) != Set(uses) else { continue }
            faults.append(
                "the factors of \"\(block.name)\" are the sum over its uses \(summed.sorted().quotedList), but the job "
                    + "sums \(uses.sorted().quotedList). Take the same layers in all tasks, or make the factors again.",
                about: block.name, of: "layers", at: place(ofFactorsOf: task))
        }
        return faults.problems
    }
}
