/// A pattern over names.
///
/// `*` matches any text, also across dots and slashes; `?` matches one character. A backslash makes one of these, or a
/// backslash, literal.
///
/// A name also matches its own literal text, whatever characters it holds. Brackets are ordinary characters.
public struct Glob: Equatable, Sendable {
    private enum Part: Equatable {
        case character(Character)
        case any
        case text
    }

    private let written: String
    private let parts: [Part]

    /// Takes a pattern.
    public init(_ pattern: String) {
        written = pattern
        var parts: [Part] = []
        var rest = Array(pattern)[...]
        while let character = rest.popFirst() {
            switch character {
            case "*": if parts.last != .text { parts.append(.text) }
            case "?": parts.append(.any)
            case "\\":
                guard let next = rest.first, "*?\\".contains(next) else { fallthrough }
                rest.removeFirst()
                parts.append(.character(next))
            default: parts.append(.character(character))
            }
        }
        self.parts = parts
    }

    /// Whether the pattern matches the whole name.
    ///
    /// - Complexity: pattern × name in the worst case, without recursion.
    public func matches(_ name: String) -> Bool {
        if name == written { return true }
        let name = Array(name)
        var (p, n) = (0, 0)
        var lastStar: (part: Int, name: Int)?
        while n < name.count {
            if p < parts.count, parts[p] == .text {
                lastStar = (p, n)
                p += 1
            } else if p < parts.count, parts[p] == .any || parts[p] == .character(name[n]) {
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
