/// The arithmetic that decides a result's bits.
///
/// Two regimes round differently, so one unit has different bits in each.
///
/// Within one regime a unit always has the same bits (DESIGN section 6, guarantee 1).
public struct NumericRegime: Hashable, Sendable, Codable, Comparable, CustomStringConvertible {
    /// The BLAS library, its version, and the kernel set that it chose for the processor: `OpenBLAS 0.3.26 SkylakeX`.
    public var kernels: String
    /// The element type of products: `fp32`.
    public var elements: String

    /// Describes a regime.
    public init(kernels: String, elements: String) {
        self.kernels = kernels
        self.elements = elements
    }

    /// The regime of a process that names none.
    public static let unnamed = NumericRegime(kernels: "", elements: "")

    /// Both parts, for people.
    public var description: String { "\(kernels), \(elements)" }

    /// Orders by kernels, then by elements.
    public static func < (left: NumericRegime, right: NumericRegime) -> Bool {
        (left.kernels, left.elements) < (right.kernels, right.elements)
    }
}

/// A result's key: the unit's key and the numeric regime.
///
/// Results of different regimes have different keys.
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
