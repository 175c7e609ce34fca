/// How the task vectors Δ_t = θ_t − θ_0 become one Δ; the merged model is θ_0 + α·Δ, except for ``linear``.
public enum MergeMethod: String, CaseIterable, Sendable {
    /// Δ = Σ w_t Δ_t: Ilharco et al. 2023 (arXiv 2212.04089).
    case taskArithmetic = "task_arithmetic"
    /// θ = Σ w_t θ_t, without a base; by default divided by Σ w_t: Wortsman et al. 2022 (arXiv 2203.05482).
    case linear
    /// Δ = Σ w_t Δ_t / Σ w_t.
    case weightedAverage = "weighted_average"
    /// Δ = B̄⁻¹ (Σ λ_t B_t Δ_t A_t) Ā⁻¹: the closed form under accumulated Kronecker factors.
    case kfac

    /// Whether weights are divided by their sum when the job does not say.
    public var averages: Bool { self == .linear || self == .weightedAverage }

    /// Whether the method needs every task's factors; parameters without factors are then merged by task arithmetic.
    public var needsFactors: Bool { self == .kfac }
}
