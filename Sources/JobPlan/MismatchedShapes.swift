/// What becomes of tensors that a model has in another shape than the base.
public enum MismatchedShapes: String, Equatable, Sendable, CaseIterable {
    /// They are an error.
    case refuse = "error"
    /// The base's tensor is kept.
    case base
    /// Embeddings and heads of another vocabulary are merged in the rows that all models have; the base's further rows
    /// are kept.
    case slice
}
