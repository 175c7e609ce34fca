public import Identifiers
import TaskArithmetic

/// The shares λ_t of the merged tasks in a mean under factors; under other methods every task's is 1.
///
/// A share is the task's curvature weight (its samples, unless `curvature_weight` says otherwise) over the sum of all
/// tasks that take part in the tensor: one of weight 0 does not, and takes its curvature with it. A task vector enters
/// a merge as λ_t · w_t · Δ_t, w_t the user's `weight`, in layers with factors and in all other tensors alike.
public struct TaskShares: Equatable, Sendable {
    private var weights: [TaskName: Double] = [:]

    /// The shares of a job's merged tasks.
    public init(spec: JobSpec, inventory: JobInventory) {
        guard spec.method.needsFactors else { return }
        let merged = Set(spec.tasks.filter { $0.model != nil }.map(\.name))
        weights = inventory.curvatureWeights(of: spec).filter { merged.contains($0.key) }
    }

    /// λ_t of a merged task.
    ///
    /// - Parameters:
    ///   - task: The task.
    ///   - participants: The tasks that take part in the tensor, this one among them.
    /// - Returns: Its share; the shares of all participants sum to 1.
    public func share(of task: TaskName, among participants: [TaskName]) -> Double {
        guard let weight = weights[task] else { return 1 }
        let total = participants.reduce(0) { $0 + (weights[$1] ?? 0) }
        return total > 0 ? weight / total : 1
    }
}
