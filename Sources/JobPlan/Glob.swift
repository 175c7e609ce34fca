import NameMatching

/// A pattern of names with `*`, `?` and `\`.
///
/// `*` matches any text, also dots and slashes. `?` matches one Unicode scalar. A backslash before `*`, `?` or a
/// backslash makes that character literal.
///
/// `*` matches any text, also across dots and slashes; `?` matches one character. A backslash makes one of these, or a
/// backslash, literal.
///
/// A name also matches its own literal text, whatever characters it holds. Brackets are ordinary characters.
public struct Glob: Equatable, Sendable {
    private let written: String
    private let wildcards: Wildcards

    /// Takes a pattern.
    public init(_ pattern: String) {
        written = pattern
        var parts: [Wildcards.Part] = []
        var rest = Array(pattern.unicodeScalars)[...]
        while let scalar = rest.popFirst() {
            switch scalar {
            case "*": parts.append(.text)
            case "?": parts.append(.any)
            case "\\":
                guard let next = rest.first, ["*", "?", "\\"].contains(next) else { fallthrough }
                rest.removeFirst()
                parts.append(.scalar(next))
            default: parts.append(.scalar(scalar))
            }
        }
        wildcards = Wildcards(parts)
    }

    /// Whether the pattern matches the whole name.
    public func matches(_ name: String) -> Bool {
        name == written || wildcards.matches(name)
    }
}
