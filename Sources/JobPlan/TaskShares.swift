public import Identifiers
import TaskArithmetic

/// The shares λ_t of the merged tasks in a mean under factors; under other methods every share is 1.
///
/// A share is the task's curvature weight over the sum for all participating tasks. The curvature weight is the task's
/// sample count, unless `curvature_weight` sets it. A task of weight 0 does not participate, nor does its curvature. A
/// task vector enters a merge as λ_t · w_t · Δ_t, where w_t is the user's `weight`, both in layers with factors and in
/// all other tensors.
public struct TaskShares: Equatable, Sendable {
    private var weights: [TaskName: Double] = [:]

    /// The shares of a job's merged tasks.
    public init(spec: JobSpec, inventory: JobInventory) {
        guard spec.method.needsFactors else { return }
        let merged = Set(spec.mergedTasks.map(\.name))
        weights = inventory.curvatureWeights(of: spec).filter { merged.contains($0.key) }
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
