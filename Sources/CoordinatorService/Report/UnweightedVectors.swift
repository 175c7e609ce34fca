import Identifiers
import JobPlan
import UnitOperations

/// The warnings about task vectors that are not finite in blocks where their weight is 0.
///
/// Such a vector does not stop the merge, and it has no interference.
struct UnweightedVectors {
    let plan: JobPlan
    /// A finished unit's result.
    let result: (UnitIndex) -> UnitResult?

    /// One sentence for each such task.
    var sentences: [String] {
        plan.spec.mergedTasks.enumerated().compactMap { position, task in
            let blocks = plan.blocks.map(\.name).filter { isNonFinite(position, in: $0) }
            guard !blocks.isEmpty else { return nil }
            let places = blocks.map { "\"\($0)\"" }.listed(limit: 10)
            return "the task vector of \"\(task.name)\" is not finite in \(places), where its weight is 0: "
                + "nothing of it is merged there, and its interference and penalty are null."
        }
    }

    private func isNonFinite(_ vector: Int, in block: String) -> Bool {
        plan.spec.curvedTasks.contains { task in
            guard let unit = plan.products[block, .interference(with: task.name)]?.unit,
                let values = result(unit)?.measurements[.penalties], values.indices.contains(vector)
            else { return false }
            return !values[vector].isFinite
        }
    }
}

extension JobPlan {
    /// The warnings about a job's results.
    func warnings(_ result: @escaping (UnitIndex) -> UnitResult?) -> [String] {
        DampingWarnings(plan: self, result: result).sentences + UnweightedVectors(plan: self, result: result).sentences
            + CancelledGradients(plan: self, result: result).sentences
            + UnsolvedMerges(plan: self, result: result).sentences
            + RoundedVectors(plan: self, result: result).sentences
            + RaisedRounding(plan: self, result: result).sentences
            + CompressedMatrices(plan: self, result: result).sentences
    }
}
