/// How much of the identity is added to a factor before it is inverted.
public enum DampingRule: String, CaseIterable, Sendable {
    /// A + π√γ·I and B + √γ/π·I with π² = (tr A/dim A)/(tr B/dim B): Martens & Grosse 2015, §6.3.
    case pi
    /// γ times the mean eigenvalue of each side.
    case relative
    /// γ itself, on each side.
    case absolute
}

/// A factor's size as the damping rules see it.
public struct FactorScale: Equatable, Sendable {
    /// The sum of the diagonal.
    public let trace: Double
    /// Rows and columns.
    public let dimension: Int

    /// A trace with its dimension.
    public init(trace: Double, dimension: Int) {
        self.trace = trace
        self.dimension = dimension
    }

    /// The mean eigenvalue; 0 for dimension 0.
    public var meanEigenvalue: Double { dimension > 0 ? trace / Double(dimension) : 0 }
}

/// A damping rule with its value γ.
public struct Damping: Equatable, Sendable {
    /// The rule.
    public let rule: DampingRule
    /// γ ≥ 0.
    public let value: Double

    /// A checked rule.
    /// - Throws: ``KroneckerFactorsError/invalidDamping(value:)`` for a negative or non-finite value.
    public init(_ rule: DampingRule, _ value: Double) throws(KroneckerFactorsError) {
        guard value >= 0, value.isFinite else { throw .invalidDamping(value: value) }
        self.rule = rule
        self.value = value
    }

    /// What is added to the diagonals of a layer's two factors.
    ///
    /// With `pi`, a side without trace leaves π undefined; both sides then get √γ.
    ///
    /// - Parameters:
    ///   - input: The scale of A.
    ///   - gradient: The scale of B.
    /// - Returns: The amounts for A and B.
    public func amounts(input: FactorScale, gradient: FactorScale) -> (input: Double, gradient: Double) {
        switch rule {
        case .absolute:
            return (value, value)
        case .relative:
            return (value * max(0, input.meanEigenvalue), value * max(0, gradient.meanEigenvalue))
        case .pi:
            let ratio = (input.meanEigenvalue / gradient.meanEigenvalue).squareRoot()
            let pi = ratio > 0 && ratio.isFinite ? ratio : 1
            return (pi * value.squareRoot(), value.squareRoot() / pi)
        }
    }

    /// What is added to the diagonal of a full block F, which has no second side to balance: γ for `pi` and
    /// `absolute`.
    public func amount(fullBlock: FactorScale) -> Double {
        rule == .relative ? value * max(0, fullBlock.meanEigenvalue) : value
    }
}

/// What is tried when a damped factor is still not positive definite.
public struct DampingLadder: Equatable, Sendable {
    /// What the damping is multiplied with after a failure.
    public let growth: Double
    /// The first damping after a failure without any, as a share of the mean diagonal.
    public let firstStep: Double
    /// The largest damping tried, as a share of the mean diagonal; beyond it the eigenvalues are clamped.
    public let cap: Double

    /// Tenfold steps from fp32's rounding up to a tenth of the mean diagonal.
    public static let standard = DampingLadder(growth: 10, firstStep: 1e-7, cap: 0.1)

    /// The damping after `damping` failed, or nil when the ladder ends.
    func step(after damping: Double, meanDiagonal: Double) -> Double? {
        let next = max(damping * growth, firstStep * meanDiagonal)
        return next <= cap * meanDiagonal ? next : nil
    }
}
