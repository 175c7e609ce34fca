/// How the tensors of a merge are merged that no factors stand for, element by element
/// (``MergeSettings/elementwiseRule(tensor:)``).
///
/// They follow the method's kind: where it averages, they take the mean, so that all parts of the network have one
/// scale and a model merged with itself is itself.
///
/// Source: DESIGN section 2.5.
public enum ElementwiseRule: String, Equatable, Sendable, CaseIterable {
    /// Δ = Σ w_t Δ_t.
    case taskArithmetic = "task_arithmetic"
    /// The weighted mean of the method: of Δ_t or θ_t by w_t / Σ w_t; of a method with factors, Δ = Σ λ_t w_t Δ_t.
    case weightedMean = "weighted_mean"
    /// θ = Σ w_t θ_t.
    case weightedSum = "weighted_sum"

    /// The key under which the report lists the tensors that were merged so.
    public var reportKey: String { "merged_by_\(rawValue)" }
}
