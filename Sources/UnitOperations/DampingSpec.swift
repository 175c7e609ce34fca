public import KroneckerFactors

/// How strongly, and relative to what, a factor's diagonal is raised before it is inverted.
///
/// The default carries no unit: gradients or inputs in another unit change no merge.
///
/// Source: DESIGN section 2.4.
public struct DampingSpec: Equatable, Sendable {
    /// What the value is relative to.
    public var rule: DampingRule
    /// γ, at least 0.
    public var value: Double

    /// Damps by a rule and its γ.
    public init(rule: DampingRule = .relative, value: Double = 0.1) {
        self.rule = rule
        self.value = value
    }
}
