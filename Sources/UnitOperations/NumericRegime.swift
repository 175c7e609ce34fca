/// The arithmetic that computes a result: two regimes round differently, so they give different bits of the same unit.
///
/// Within a regime the bits are the same, wherever and whenever a unit is computed (DESIGN section 6, guarantee 1).
public struct NumericRegime: Hashable, Sendable, Codable, Comparable, CustomStringConvertible {
    /// The library of linear algebra, its version, and the kernels that it chose for the processor: `OpenBLAS 0.3.26
    /// SkylakeX`.
    public var kernels: String
    /// The element type in which products are formed: `fp32`.
    public var elements: String

    /// Names a regime.
    public init(kernels: String, elements: String) {
        self.kernels = kernels
        self.elements = elements
    }

    /// That of somebody who names none.
    public static let unnamed = NumericRegime(kernels: "", elements: "")

    /// Both, for people.
    public var description: String { "\(kernels), \(elements)" }

    /// By kernels, then by elements.
    public static func < (left: NumericRegime, right: NumericRegime) -> Bool {
        (left.kernels, left.elements) < (right.kernels, right.elements)
    }
}

/// A result's key: what was computed, and in which regime.
///
/// A result of one regime is never taken for that of another.
public struct ResultKey: Hashable, Sendable {
    /// The operation and its inputs.
    public var unit: UnitKey
    /// The arithmetic.
    public var regime: NumericRegime

    /// Names a result.
    public init(_ unit: UnitKey, in regime: NumericRegime) {
        self.unit = unit
        self.regime = regime
    }
}
