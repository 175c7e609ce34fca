/// The term that is added, times β, to the cross-entropy.
///
/// It keeps a task vector from changing what other tasks compute.
public enum TrainingPenalty: Sendable {
    /// No penalty.
    case none
    /// Ω(τ) of a regularizer of the daemon, or of a form of the lab.
    case form(any QuadraticPenalty)
    /// The mean of ‖J(x) τ‖² over the inputs of other tasks (Yoshida et al.
    ///
    /// 2025); the other penalties approximate it.
    case jacobian(tokens: [Float], sampleCount: Int)
}
