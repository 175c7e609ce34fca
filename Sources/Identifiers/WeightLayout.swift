/// The order of the two dimensions of a stored weight matrix.
///
/// A square matrix does not show its order, so it is declared and never guessed. Source: DESIGN section 3.
public enum WeightLayout: String, Hashable, Sendable, Codable, CaseIterable {
    /// `[d_out, d_in]`, as torch.nn.Linear stores it.
    case outIn = "out_in"
    /// `[d_in, d_out]`, as the Conv1D of GPT-2 stores it.
    case inOut = "in_out"
}
