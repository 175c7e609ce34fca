/// A pattern as a sequence of parts, held against whole names, scalar by scalar.
///
/// How a pattern is written, and what its special characters are, is its reader's.
public struct Wildcards: Equatable, Sendable {
    /// What stands at one place of a pattern.
    public enum Part: Equatable, Sendable {
        /// This scalar.
        case scalar(Unicode.Scalar)
        /// Any one scalar.
        case any
        /// Any number of scalars, none among them.
        case text
        /// One scalar of a class, or one outside of it.
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

    /// Takes the parts of a pattern.
    public init(_ parts: [Part]) {
        self.parts = parts
    }

    /// Whether the whole name fits.
    ///
    /// - Complexity: pattern × name in the worst case, without recursion.
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
                // Let the last star swallow one scalar more and try again behind it.
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
