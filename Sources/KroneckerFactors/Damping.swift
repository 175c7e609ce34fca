/// The multiple of the identity that is added to a factor before inversion.
public enum DampingRule: String, CaseIterable, Sendable {
    /// A + π√γ'·I and B + √γ'/π·I with π² = ā/b̄ and γ' = γ·ā·b̄, where ā and b̄ are the sides' mean eigenvalues.
    ///
    /// Source: Martens & Grosse 2015, §6.3, with γ relative to the size of the curvature. It equals √γ times the mean
    /// eigenvalue of each side.
    case pi
    /// γ times the mean eigenvalue of each side.
    case relative
    /// γ itself, on each side.
    ///
    /// Only this rule has a unit, that of the factors.
    case absolute

    /// The γ of a job that names only the rule.
    ///
    /// It is nil for ``absolute``, because no number with a unit fits all models.
    ///
    /// The defaults of ``pi`` and ``relative`` damp layers equally.
    public var defaultValue: Double? {
        switch self {
        case .pi: 0.01
        case .relative: 0.1
        case .absolute: nil
        }
    }
}

/// A factor's size, as the damping rules use it.
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

    /// The damping added to the diagonal of one of a layer's two factors.
    ///
    /// A change of the unit of gradients or inputs changes ``DampingRule/pi`` and ``DampingRule/relative`` in the same
    /// way as the factor. Only the unit of the result changes.
    ///
    /// - Parameter side: The scale of the factor.
    /// - Returns: A number of at least 0; 0 for a factor of zeros, unless the rule is ``DampingRule/absolute``.
    public func amount(side: FactorScale) -> Double {
        switch rule {
        case .absolute: value
        case .relative: value * max(0, side.meanEigenvalue)
        case .pi: value.squareRoot() * max(0, side.meanEigenvalue)
        }
    }

    /// The damping added to the diagonal of a full block F.
    ///
    /// Like `pi` for B ⊗ A, it is a share of the mean eigenvalue.
    public func amount(fullBlock: FactorScale) -> Double {
        rule == .absolute ? value : value * max(0, fullBlock.meanEigenvalue)
    }
}

/// The steps when a damped factor is still not positive definite.
public struct DampingLadder: Equatable, Sendable {
    /// The factor by which the damping grows after a failure.
    public let growth: Double
    /// The first damping after a failure without damping, as a share of the mean diagonal.
    public let firstStep: Double
    /// The largest damping, as a share of the mean diagonal; beyond it the eigenvalues are clamped.
    public let cap: Double

    /// Tenfold steps from fp32's rounding up to a tenth of the mean diagonal.
    public static let standard = DampingLadder(growth: 10, firstStep: 1e-7, cap: 0.1)

    /// The next damping after `damping` failed, or nil at the ladder's end.
    func step(after damping: Double, meanDiagonal: Double) -> Double? {
        let next = max(damping * growth, firstStep * meanDiagonal)
        return next <= cap * meanDiagonal ? next : nil
    }
}
