public import Identifiers
import TaskArithmetic

/// The shares λ_t of the merged tasks in a mean under factors; in other merges every share is 1.
///
/// A share is the task's curvature weight over the sum for all participating tasks. The curvature weight is the task's
/// sample count, unless `curvature_weight` sets it. A task of weight 0 does not participate, nor does its curvature. A
/// task vector enters a merge as λ_t · w_t · Δ_t, where w_t is the user's `weight`: in layers with factors, and under a
/// method that needs factors in all other tensors too.
public struct TaskShares: Equatable, Sendable {
    private var weights: [TaskName: Double] = [:]

    /// The shares of a job's merged tasks.
    ///
    /// - Parameters:
    ///   - spec: The job.
    ///   - inventory: Its files.
    ///   - isOfBlocks: Whether they are for what is merged with factors, not for other tensors.
    public init(spec: JobSpec, inventory: JobInventory, isOfBlocks: Bool = false) {
        guard spec.method.needsFactors || isOfBlocks && spec.mergesWithFactors else { return }
        let merged = Set(spec.mergedTasks.map(\.name))
        weights = inventory.curvatureWeights(of: spec).filter { merged.contains($0.key) }
    }

    /// The same with equal weights: the share of T tasks is 1/T.
    var equal: TaskShares {
        var equal = self
        equal.weights = weights.mapValues { _ in 1 }
        return equal
    }

    /// λ_t of a merged task.
    ///
    /// - Parameters:
    ///   - task: The task.
    ///   - participants: The participating tasks, including this one.
    /// - Returns: Its share; the shares of all participants sum to 1.
    public func share(of task: TaskName, among participants: [TaskName]) -> Double {
        guard let weight = weights[task] else { return 1 }
        let total = participants.reduce(0) { $0 + (weights[$1] ?? 0) }
        return total > 0 ? weight / total : 1
    }
}
