/// The precision in which merges read factors.
///
/// Source: DESIGN section 2.6.
public enum FactorPrecision: String, Equatable, Sendable, Codable, CaseIterable {
    /// As factors are stored.
    case float32
    /// Rows are multiplied in fp64, and merges read the factors before they are rounded.
    case float64
}
