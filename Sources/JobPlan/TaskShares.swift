public import Identifiers
import TaskArithmetic

/// The shares λ_t of the merged tasks in a mean under factors; under other methods every task's is 1.
///
/// A share is the task's curvature weight (its samples, unless `curvature_weight` says otherwise) over the sum of all.
/// A task vector enters a merge as λ_t · w_t · Δ_t, w_t the user's `weight`, in layers with factors and in all other
/// tensors alike.
public struct TaskShares: Equatable, Sendable {
    private var shares: [TaskName: Double] = [:]

    /// The shares of a job's merged tasks.
    public init(spec: JobSpec, inventory: JobInventory) {
        guard spec.method.needsFactors else { return }
        let merged = spec.tasks.filter { $0.model != nil }.map(\.name)
        let weights = merged.map { inventory.curvatureWeight(of: $0, in: spec) }
        let total = weights.reduce(0, +)
        guard total > 0 else { return }
        for (name, weight) in zip(merged, weights) { shares[name] = weight / total }
    }

    /// λ_t of a merged task.
    public func share(of task: TaskName) -> Double { shares[task] ?? 1 }
}
