/// The rule that turns the task vectors Δ_t = θ_t − θ_0 into one Δ.
///
/// The merged model is θ_0 + α·Δ, except for ``linear``.
public enum MergeMethod: String, CaseIterable, Sendable {
    /// Δ = Σ w_t Δ_t: Ilharco et al. 2023 (arXiv 2212.04089).
    case taskArithmetic = "task_arithmetic"
    /// θ = Σ w_t θ_t, without a base; by default divided by Σ w_t: Wortsman et al. 2022 (arXiv 2203.05482).
    case linear
    /// Δ = Σ w_t Δ_t / Σ w_t.
    case weightedAverage = "weighted_average"
    /// Δ = (B̄+γ_B I)⁻¹ (Σ λ_t (B_t+γ_B I) Δ_t (A_t+γ_A I)) (Ā+γ_A I)⁻¹: the closed form under accumulated Kronecker
    /// factors, damped on both sides.
    case kfac

    /// Whether weights are divided by their sum by default.
    public var averages: Bool { self == .linear || self == .weightedAverage }

    /// Whether the method needs every task's factors; parameters without factors take the weighted mean.
    public var needsFactors: Bool { self == .kfac }
}
