public import Identifiers

/// The scale of the accumulated regularizer (equation 8).
public enum RegularizerScale: String, CaseIterable, Sendable {
    /// As published: B is a sum, so the regularizer is T' times as strong as the per-task form (eq. 7).
    case paper
    /// B is divided by T', the number of summed tasks.
    case mean
}

/// The tasks' weights w_t, and the coefficients of sums over tasks that follow from them.
///
/// Source: the accumulated regularizer (eq. 8): B = Σ B_t, A = Σ λ_t A_t, F = Σ λ_t F_t with λ_t = w_t / Σ w_s. The
/// sums run over all tasks except the target, or over all.
///
/// Totals over all tasks are kept as Σ c_t X_t with c_t = ``coefficient(ofTask:side:)``. A target's factor is the total
/// without its own term, times ``scale(of:excluding:)``.
public struct RegularizerWeights: Equatable, Sendable {
    /// w_t; the sample counts by default.
    public let weights: [Double]
    /// The scale of the accumulated regularizer.
    public let scale: RegularizerScale

    /// Makes checked weights, in the order of the tasks.
    /// - Throws: ``KroneckerFactorsError/noTasks`` or ``KroneckerFactorsError/invalidWeight(task:value:)``.
    public init(_ weights: [Double], scale: RegularizerScale = .paper) throws(KroneckerFactorsError) {
        guard !weights.isEmpty else { throw .noTasks }
        for (task, value) in weights.enumerated() where !(value > 0 && value.isFinite) {
            throw .invalidWeight(task: task, value: value)
        }
        self.weights = weights
        self.scale = scale
    }

    /// c_t: 1 for B, w_t for A and F.
    public func coefficient(ofTask task: Int, side: FactorSide) -> Double {
        side == .gradient ? 1 : weights[task]
    }

    /// λ_t of every task, 0 for the excluded target.
    ///
    /// - Parameter target: The omitted task; nil to sum all tasks.
    /// - Returns: Weights that sum to 1.
    /// - Throws: ``KroneckerFactorsError/noTasks`` when the target is the only task.
    public func lambdas(excluding target: Int?) throws(KroneckerFactorsError) -> [Double] {
        let sum = try weightSum(excluding: target)
        return weights.indices.map { $0 == target ? 0 : weights[$0] / sum }
    }

    /// The scale of the remainder Σ c_t X_t: 1/Σ w_s for A and F; for B 1, or 1/T' with the mean scale.
    ///
    /// - Parameters:
    ///   - side: The kind of the factor.
    ///   - target: The omitted task; nil for none.
    /// - Returns: The scale of the target's factor.
    /// - Throws: ``KroneckerFactorsError/noTasks`` when the target is the only task.
    public func scale(of side: FactorSide, excluding target: Int?) throws(KroneckerFactorsError) -> Double {
        let sum = try weightSum(excluding: target)
        guard side == .gradient else { return 1 / sum }
        let taskCount = weights.count - (target == nil ? 0 : 1)
        return scale == .paper ? 1 : 1 / Double(taskCount)
    }

    // The weights are summed afresh, not subtracted: they are few, and no precision is lost.
    private func weightSum(excluding target: Int?) throws(KroneckerFactorsError) -> Double {
        let others = weights.indices.filter { $0 != target }
        guard !others.isEmpty else { throw .noTasks }
        return others.reduce(0) { $0 + weights[$1] }
    }
}
