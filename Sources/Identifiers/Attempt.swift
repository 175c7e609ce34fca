/// Which lease of a unit this is, counted from 1: a result is judged by the attempt that it answers.
///
/// Above the count stands a mark of the job. Jobs of coordinators with different state may have the same name: the mark
/// tells a late result of one from a result of the other.
/// Source: DESIGN section 6, guarantee 3.
public struct Attempt: Hashable, Sendable, Codable, Comparable, CustomStringConvertible {
    /// Bits of the count; the mark stands above them.
    private static let countBits = 12
    /// How many marks there are: with the count they fill the 31 bits that a message has for an attempt.
    public static let markCount = 1 << 19

    /// The number of the attempt, from 1, with the mark.
    public let number: Int

    /// Names an attempt by its number.
    public init(_ number: Int) {
        self.number = number
    }

    /// What stands before the first attempt of a job with a mark below ``markCount``.
    public init(beforeFirstWithMark mark: Int) {
        number = mark << Self.countBits
    }

    /// The mark of its job; another one for a count that has overflown, which takes some thousand leases of one unit.
    public var mark: Int { number >> Self.countBits }

    /// The attempt after this one.
    public var next: Attempt { Attempt(number + 1) }

    /// The count as text.
    public var description: String { String(number & (1 << Self.countBits - 1)) }

    /// Orders attempts by their number.
    public static func < (left: Attempt, right: Attempt) -> Bool { left.number < right.number }
}
