/// A pattern over names: `*` stands for any text, also across dots and slashes, `?` for one character.
public struct Glob: Equatable, Sendable {
    private let pattern: [Character]

    /// Takes a pattern.
    public init(_ pattern: String) {
        self.pattern = Array(pattern)
    }

    /// Whether the whole name fits the pattern.
    ///
    /// - Complexity: pattern × name in the worst case, without recursion.
    public func matches(_ name: String) -> Bool {
        let name = Array(name)
        var (p, n) = (0, 0)
        var lastStar: (pattern: Int, name: Int)?
        while n < name.count {
            if p < pattern.count, pattern[p] == "*" {
                lastStar = (p, n)
                p += 1
            } else if p < pattern.count, pattern[p] == "?" || pattern[p] == name[n] {
                p += 1
                n += 1
            } else if let star = lastStar {
                // Let the last star swallow one character more and try again behind it.
                p = star.pattern + 1
                n = star.name + 1
                lastStar = (star.pattern, n)
            } else {
                return false
            }
        }
        return pattern[p...].allSatisfy { $0 == "*" }
    }
}
