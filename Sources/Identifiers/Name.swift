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
        left.rawValue.precedesByScalars(right.rawValue)
    }
}

extension String {
    /// Whether the text comes before another in the order of their Unicode scalars, the same on every machine.
    public func precedesByScalars(_ other: String) -> Bool {
        // The standard library compares ASCII byte by byte, which is the same order. It is many times faster, and a
        // file may have 100 000 long names.
        if utf8Span.isKnownASCII, other.utf8Span.isKnownASCII { return self < other }
        return unicodeScalars.lexicographicallyPrecedes(other.unicodeScalars)
    }
}
