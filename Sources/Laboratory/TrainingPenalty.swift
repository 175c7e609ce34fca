/// The term that is added, times β, to the cross-entropy.
///
/// It keeps a task vector from changing what other tasks compute.
public enum TrainingPenalty: Sendable {
    /// No penalty.
    case none
    /// Ω(τ) of a regularizer of the daemon (paper eq; 7, eq. 8, or the optimal form).
    case curvature(CurvaturePenalty)
    /// Σ_i d_i τ_i²: the diagonal of the Gauss-Newton matrix alone, in the layout's order.
    case diagonal([Float])
    /// The mean of ‖J(x) τ‖² over the inputs of other tasks (Yoshida et al.
    ///
    /// 2025); the other penalties approximate it.
    case jacobian(tokens: [Float], sampleCount: Int)
}
