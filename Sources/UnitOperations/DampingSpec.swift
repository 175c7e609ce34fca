public import KroneckerFactors

/// The damping that is added to a factor's diagonal before the factor is inverted.
///
/// The default has no unit, so scaling the gradients or the inputs changes no merge.
///
/// Source: DESIGN section 2.4.
public struct DampingSpec: Equatable, Sendable {
    /// The quantity that the value is relative to.
    public var rule: DampingRule
    /// γ, at least 0.
    public var value: Double

    /// Damps by a rule and its γ.
    public init(rule: DampingRule = .relative, value: Double = 0.1) {
        self.rule = rule
        self.value = value
    }
}
