/// A pattern as a sequence of parts, matched against whole names, scalar by scalar.
///
/// The reader of a pattern defines its syntax and its special characters.
public struct Wildcards: Equatable, Sendable {
    /// One part of a pattern.
    public enum Part: Equatable, Sendable {
        /// This scalar.
        case scalar(Unicode.Scalar)
        /// Any one scalar.
        case any
        /// Any number of scalars, also none.
        case text
        /// One scalar in a class, or one outside it.
        case set([ClosedRange<Unicode.Scalar>], isNegated: Bool)

        fileprivate func matches(_ scalar: Unicode.Scalar) -> Bool {
            switch self {
            case .scalar(let expected): scalar == expected
            case .any: true
            case .text: false
            case .set(let ranges, let isNegated): ranges.contains { $0.contains(scalar) } != isNegated
            }
        }
    }

    /// The parts in order.
    public let parts: [Part]

    /// Creates a pattern of parts.
    public init(_ parts: [Part]) {
        self.parts = parts
    }

    /// Whether the pattern matches the whole name.
    ///
    /// - Complexity: O(pattern × name) in the worst case, without recursion.
    public func matches(_ name: String) -> Bool {
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
                // Let the last star take one scalar more, and continue behind it.
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
