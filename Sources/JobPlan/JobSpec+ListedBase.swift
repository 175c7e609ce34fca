import Identifiers
import TaskArithmetic

/// The base as an entry of "models". mergekit files may list it; under methods that average, it counts with its weight.
extension JobSpec {
    /// Whether there is anything to merge: a task's checkpoint, or the base alone under a method that needs no base.
    public var mergesAnything: Bool {
        !mergedTasks.isEmpty || (!method.needsBase && listedBase != nil)
    }

    /// The same job, with every entry that is the base itself marked as such, also when its path is written
    /// differently.
    ///
    /// A base entry with captures or factors stays a task of the regularizer. Under a method that needs its factors it
    /// also stays a task of the merge.
    ///
    /// - Parameter inventory: The contents of the files; the checkpoints of such entries are removed from it.
    /// - Returns: The job, and the problems of entries that list the base again.
    public func settlingListedBase(in inventory: inout JobInventory) -> (spec: JobSpec, problems: [JobProblem]) {
        var spec = self
        var problems: [JobProblem] = []
        let keepsCurved = method.needsFactors
        for task in tasks where inventory.baseTasks.contains(task.name) && !(keepsCurved && task.hasCurvature) {
            if let listed = spec.listedBase {
                problems.append(
                    JobProblem(
                        at: task.location,
                        "this entry is the base, which is listed at \(listed.location) already. Remove one of them."))
            }
            spec.listedBase = spec.listedBase ?? task
            inventory.checkpoints[task.name] = nil
            guard let position = spec.tasks.firstIndex(where: { $0.name == task.name }) else { continue }
            if task.hasCurvature {
                spec.tasks[position].model = nil
            } else {
                spec.tasks.remove(at: position)
            }
        }
        return (spec, problems)
    }

    /// Problems of a merge with the base among the models.
    func listedBaseProblems() -> [JobProblem] {
        guard let listedBase else { return [] }
        let renaming = listedBase.renames.first.map {
            JobProblem(
                at: $0.from.location,
                "\"rename\" has no effect on the base: all other names are compared with its own. Remove it.")
        }
        return (renaming.map { [$0] } ?? []) + mergeProblems(ofListedBase: listedBase)
    }

    private func mergeProblems(ofListedBase listedBase: TaskSpec) -> [JobProblem] {
        guard outputs.contains(.merged) else { return [] }
        if tasks.isEmpty, method.needsBase {
            return [
                JobProblem(
                    at: listedBase.location,
                    "\"models\" lists only the base; expected at least one task.")
            ]
        }
        guard method.needsFactors else { return [] }
        return [
            JobProblem(
                at: listedBase.location,
                "the merge method \"\(method.name)\" needs the factors of every merged model, but the base, which is listed here, "
                    + "has neither \"captures\" nor \"factors\". Remove the entry: a base without factors cannot count."
            )
        ]
    }
}
