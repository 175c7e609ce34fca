import Identifiers
import JobPlan
import UnitOperations

/// Task vectors that are not finite where a merge gives them no weight: they stop nothing, and have no interference.
struct UnweightedVectors {
    let plan: JobPlan
    /// A finished unit's result.
    let result: (UnitIndex) -> UnitResult?

    /// One sentence a task.
    var sentences: [String] {
        plan.mergedTasks.enumerated().compactMap { position, task in
            let blocks = plan.blocks.map(\.name).filter { isNonFinite(position, in: $0) }
            guard !blocks.isEmpty else { return nil }
            let places = blocks.map { "\"\($0)\"" }.listed(limit: 10)
            return "the task vector of \"\(task.name)\" is not finite in \(places), where its weight is 0: "
                + "nothing of it is merged there, and its interference and penalty are null."
        }
    }

    private func isNonFinite(_ vector: Int, in block: String) -> Bool {
        plan.curvedTasks.contains { task in
            guard let unit = plan.interferences[task.name]?[block],
                let values = result(unit)?.measurements[.penalties], values.indices.contains(vector)
            else { return false }
            return !values[vector].isFinite
        }
    }
}

extension JobPlan {
    /// What a person should know of a job's results.
    func warnings(_ result: @escaping (UnitIndex) -> UnitResult?) -> [String] {
        DampingWarnings(plan: self, result: result).sentences + UnweightedVectors(plan: self, result: result).sentences
    }
}
