/// A name that is only a text.
///
/// Each kind of thing has its own type, so that the compiler tells them apart.
public protocol Name: Hashable, Sendable, Codable, RawRepresentable, Comparable, CustomStringConvertible,
    ExpressibleByStringLiteral
where RawValue == String {
    /// Names something by a text.
    init(rawValue: String)
}

extension Name {
    /// Names something by a literal, as tests and constants do.
    public init(stringLiteral value: String) {
        self.init(rawValue: value)
    }

    /// The text of the name.
    public var description: String { rawValue }

    /// Orders names by their Unicode scalars, the same on every machine.
    public static func < (left: Self, right: Self) -> Bool {
        left.rawValue.unicodeScalars.lexicographicallyPrecedes(right.rawValue.unicodeScalars)
    }
}
