/// What is added to the cross-entropy, times β, to keep a task vector from moving what other tasks compute.
public enum TrainingPenalty: Sendable {
    /// Nothing.
    case none
    /// Ω(τ) of a regularizer that the daemon wrote (paper eq. 7, eq. 8, or the optimal form).
    case curvature(CurvaturePenalty)
    /// Σ_i d_i τ_i²: the diagonal of the Gauss-Newton matrix alone, in the layout's order.
    case diagonal([Float])
    /// The mean of ‖J(x) τ‖² over other tasks' own inputs: what all others approximate without them (Yoshida et al.
    /// 2025).
    case jacobian(tokens: [Float], sampleCount: Int)
}
