/// The curvature matrices of a parameter: a linear layer has two, any other parameter has one.
///
/// Source: DESIGN section 2.1.
public enum FactorSide: String, Hashable, Sendable, Codable, CaseIterable {
    /// A, the covariance of the layer's inputs, `[d_in (+1), d_in (+1)]`.
    case input = "A"
    /// B, the covariance of the gradients at the layer's outputs, `[d_out, d_out]`.
    case gradient = "B"
    /// F, the full block of a parameter outside linear layers, `[d, d]`.
    case full = "F"
}
