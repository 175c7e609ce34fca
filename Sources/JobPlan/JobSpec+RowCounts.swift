import Identifiers
import KroneckerFactors
import NameMatching
import UnitOperations

/// What becomes of a layer in which a task has no curvature.
///
/// A task has none in a layer that none of its rows reached, such as an expert of another task.
public enum MissingCurvature: String, Equatable, Sendable, Codable, CaseIterable {
    /// It is an error; the message names the layers.
    case refuse
    /// The task's share λ_t in the layer is spread over the other tasks.
    case renormalize
}

/// The check of layers whose rows are not the same number for each sample, or none at all.
extension JobSpec {
    /// The blocks of a task that none of its rows reached, and the samples of different lengths that `reduce` would
    /// need to know.
    func rowCountProblems(of task: TaskSpec, blocks: [CurvatureBlock], _ inventory: JobInventory) -> [JobProblem] {
        let widths = inventory.captures[task.name].map {
            CaptureValidation(of: task.name, $0).emptyProblems(with: blocks.flatMap(\.layers))
        }
        return missingProblems(of: task, blocks, inventory) + (widths ?? [])
            + reductionProblems(of: task, blocks, inventory) + contradictions(of: task, inventory)
    }

    private func missingProblems(
        of task: TaskSpec, _ blocks: [CurvatureBlock], _ inventory: JobInventory
    ) -> [JobProblem] {
        let missing = emptyBlocks(of: task, blocks, inventory)
        guard curvature.missingCurvature == .refuse, !missing.isEmpty else { return [] }
        return [
            JobProblem(
                at: task.location,
                "task \"\(task.name)\" has no rows of \(missing.count) of the \(blocks.count) layers and parameters "
                    + "(\(missing.map(\.name).quotedList)), so no curvature there. Write \"missing_curvature: "
                    + "renormalize\" under \"kfac\" to spread its share over the other tasks, leave the layers out with "
                    + "\"layers\", or capture more samples.")
        ]
    }

    /// The notices of layers that no task's rows reached, of tasks whose share in some layers is spread over the
    /// others, and of targets without other tasks there.
    func missingCurvatureNotices(_ selection: CurvatureSelection, _ inventory: JobInventory) -> [JobNotice] {
        let unreached = unreachedNotice(selection.unreached).map { [$0] } ?? []
        guard curvature.missingCurvature == .renormalize else { return unreached }
        let none = Set(selection.unreached)
        let blocks = selection.blocks.filter { !none.contains($0.name) }
        return unreached + spreadNotices(blocks, inventory) + soleTaskNotices(blocks, inventory)
    }

    private func unreachedNotice(_ names: [String]) -> JobNotice? {
        guard !names.isEmpty else { return nil }
        return JobNotice(
            at: fileName,
            "no task has rows of these layers and parameters: \(names.quotedList). They have no factors, are in no "
                + "regularizer, and are merged like tensors without factors. Capture more samples if this was not "
                + "intended, or leave them out with \"layers\".")
    }

    private func spreadNotices(_ blocks: [CurvatureBlock], _ inventory: JobInventory) -> [JobNotice] {
        curvedTasks.compactMap { task in
            let missing = emptyBlocks(of: task, blocks, inventory)
            guard !missing.isEmpty else { return nil }
            return JobNotice(
                at: task.location,
                "task \"\(task.name)\" has no rows of \(missing.count) of the \(blocks.count) layers and parameters "
                    + "(\(missing.map(\.name).quotedList)); its share there is spread over the other tasks.")
        }
    }

    /// A regularizer leaves out the layers that only its target's own task reached.
    private func soleTaskNotices(_ blocks: [CurvatureBlock], _ inventory: JobInventory) -> [JobNotice] {
        var sole: [TaskName: [String]] = [:]
        for block in blocks {
            let present = curvedTasks.filter { !inventory.isEmpty(block.name, in: $0.name) }
            if present.count == 1 { sole[present[0].name, default: []].append(block.name) }
        }
        let targets = regularizerTargets
        return curvedTasks.compactMap { task in
            guard let names = sole[task.name], targets.contains(.without(task.name)) else { return nil }
            return JobNotice(
                at: task.location,
                "only task \"\(task.name)\" has rows of these layers and parameters: \(names.quotedList). The regularizer "
                    + "without this task leaves them out.")
        }
    }

    private func emptyBlocks(
        of task: TaskSpec, _ blocks: [CurvatureBlock], _ inventory: JobInventory
    ) -> [CurvatureBlock] {
        blocks.filter { inventory.isEmpty($0, in: task.name) }
    }

    private func reductionProblems(
        of task: TaskSpec, _ blocks: [CurvatureBlock], _ inventory: JobInventory
    ) -> [JobProblem] {
        guard curvature.normalization == .reduce, let captures = inventory.captures[task.name] else { return [] }
        let unknown = blocks.flatMap(\.layers).compactMap { block -> (name: String, layer: CaptureInventory.Layer)? in
            guard let layer = captures.layers[LayerName(rawValue: block.name)], layer.positions == nil,
                layer.rowSamples.isEmpty
            else { return nil }
            return (block.name, layer)
        }
        guard let (name, layer) = unknown.first else { return [] }
        let more = unknown.count > 1 ? ", and \(unknown.count - 1) more layers are like it" : ""
        return [
            JobProblem(
                at: "captures of task \"\(task.name)\"",
                "layer \"\(name)\" has \(layer.input.rows) rows of \(layer.samples) samples\(more); \"reduce\" needs the "
                    + "sample of each row. Capture it with \"\(name).row_samples\", or use the normalization \"tak\" or "
                    + "\"expand\".")
        ]
    }

    private func contradictions(of task: TaskSpec, _ inventory: JobInventory) -> [JobProblem] {
        guard let set = inventory.factorSets[task.name] else { return [] }
        let wrong = Set(set.factors.keys.map(\.owner)).filter { set.rows[$0] == 0 }.sorted()
        guard !wrong.isEmpty else { return [] }
        return [
            JobProblem(
                at: "factors of task \"\(task.name)\"",
                "\(wrong.quotedList) have factors, but 0 \"rows\" in the file's metadata; expected factors of at least one "
                    + "row. Correct \"rows\", or leave the factors out.")
        ]
    }
}
