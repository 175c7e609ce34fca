/// The rule of tensors that are merged element by element (``MergeSettings/elementwiseRule(tensor:)``).
///
/// The rule follows the method. Where the method averages, the rule takes the mean, so that all parts of the network
/// have one scale and merging a model with itself changes nothing.
///
/// Source: DESIGN section 2.5.
public enum ElementwiseRule: String, Equatable, Sendable, CaseIterable {
    /// Δ = Σ w_t Δ_t.
    case taskArithmetic = "task_arithmetic"
    /// The weighted mean of the method: of Δ_t or θ_t by w_t / Σ w_t; of a method with factors, Δ = Σ λ_t w_t Δ_t.
    case weightedMean = "weighted_mean"
    /// θ = Σ w_t θ_t.
    case weightedSum = "weighted_sum"
    /// The method's own.
    case ofMethod = "method"

    /// The report's key for the list of tensors merged by this rule.
    public var reportKey: String { "merged_by_\(rawValue)" }
}
