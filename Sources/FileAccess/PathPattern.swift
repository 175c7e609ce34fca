/// A pattern for one name in a path: `*` is any text, `?` one character, `[abc]`, `[a-z]` and `[!a]` one of a set;
/// a backslash takes the next character as it is.
///
/// A name that begins with a dot matches only a pattern that does. `.` and `..` never match. Source: glob(7).
struct PathPattern: Equatable {
    private enum Part: Equatable {
        case scalar(Unicode.Scalar)
        case any
        case text
        case set([ClosedRange<Unicode.Scalar>], isNegated: Bool)

        func matches(_ scalar: Unicode.Scalar) -> Bool {
            switch self {
            case .scalar(let expected): scalar == expected
            case .any: true
            case .text: false
            case .set(let ranges, let isNegated): ranges.contains { $0.contains(scalar) } != isNegated
            }
        }
    }

    /// The pattern as written.
    let text: String
    /// The only name that matches, when there is only one.
    let literal: String?
    /// Whether brackets are its only special characters; brackets also occur in names.
    let hasOnlyBrackets: Bool
    private let parts: [Part]

    /// Whether a text holds a special character.
    static func isPattern(_ text: String) -> Bool { text.contains { "*?[\\".contains($0) } }

    init(_ text: String) {
        var parts: [Part] = []
        var rest = Array(text.unicodeScalars)[...]
        while let scalar = rest.popFirst() {
            switch scalar {
            case "*": if parts.last != .text { parts.append(.text) }
            case "?": parts.append(.any)
            case "[": parts.append(Self.takeSet(from: &rest) ?? .scalar("["))
            case "\\": parts.append(.scalar(rest.popFirst() ?? scalar))
            default: parts.append(.scalar(scalar))
            }
        }
        self.parts = parts
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

    /// Whether the whole name matches.
    ///
    /// - Complexity: pattern × name in the worst case, without recursion.
    func matches(_ name: String) -> Bool {
        guard name != ".", name != ".." else { return false }
        if name.hasPrefix("."), parts.first != .scalar(".") { return false }
        let name = Array(name.unicodeScalars)
        var (p, n) = (0, 0)
        var lastStar: (part: Int, name: Int)?
        while n < name.count {
            if p < parts.count, parts[p] == .text {
                lastStar = (p, n)
                p += 1
            } else if p < parts.count, parts[p].matches(name[n]) {
                p += 1
                n += 1
            } else if let star = lastStar {
                // Let the last star take one more character, and try again.
                p = star.part + 1
                n = star.name + 1
                lastStar = (star.part, n)
            } else {
                return false
            }
        }
        return parts[p...].allSatisfy { $0 == .text }
    }
}
