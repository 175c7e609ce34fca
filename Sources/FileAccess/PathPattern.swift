import NameMatching

/// A pattern for one name in a path: `*` is any text, `?` one character, `[abc]`, `[a-z]` and `[!a]` one of a set;
/// a backslash takes the next character as it is.
///
/// A name that begins with a dot matches only a pattern that does. `.` and `..` never match. Source: glob(7).
struct PathPattern: Equatable {
    private typealias Part = Wildcards.Part

    /// The pattern as written.
    let text: String
    /// The only name that matches, when there is only one.
    let literal: String?
    /// Whether brackets are its only special characters; brackets also occur in names.
    let hasOnlyBrackets: Bool
    private let wildcards: Wildcards

    /// Whether a text holds a special character.
    static func isPattern(_ text: String) -> Bool { text.contains { "*?[\\".contains($0) } }

    init(_ text: String) {
        var parts: [Part] = []
        var rest = Array(text.unicodeScalars)[...]
        while let scalar = rest.popFirst() {
            switch scalar {
            case "*": parts.append(.text)
            case "?": parts.append(.any)
            case "[": parts.append(Self.takeSet(from: &rest) ?? .scalar("["))
            case "\\": parts.append(.scalar(rest.popFirst() ?? scalar))
            default: parts.append(.scalar(scalar))
            }
        }
        wildcards = Wildcards(parts)
        self.text = text
        hasOnlyBrackets = !parts.contains(.text) && !parts.contains(.any)
        var literal = ""
        let isLiteral = parts.allSatisfy { part in
            guard case .scalar(let scalar) = part else { return false }
            literal.unicodeScalars.append(scalar)
            return true
        }
        self.literal = isLiteral ? literal : nil
    }

    /// The set after an opening bracket; `nil` when the set is not closed and the bracket is an ordinary character.
    private static func takeSet(from rest: inout ArraySlice<Unicode.Scalar>) -> Part? {
        var inner = rest
        let isNegated = inner.first == "!" || inner.first == "^"
        if isNegated { inner.removeFirst() }
        var ranges: [ClosedRange<Unicode.Scalar>] = []
        // A closing bracket in first place belongs to the set.
        while let scalar = inner.popFirst() {
            if scalar == "]", !ranges.isEmpty {
                rest = inner
                return .set(ranges, isNegated: isNegated)
            }
            let first = scalar == "\\" ? inner.popFirst() ?? scalar : scalar
            var last = first
            if inner.first == "-", let end = inner.dropFirst().first, end != "]" {
                inner.removeFirst(2)
                last = end
            }
            ranges.append(min(first, last)...max(first, last))
        }
        return nil
    }

    /// Whether the pattern matches the whole name.
    func matches(_ name: String) -> Bool {
        guard name != ".", name != ".." else { return false }
        if name.hasPrefix("."), wildcards.parts.first != .scalar(".") { return false }
        return wildcards.matches(name)
    }
}
