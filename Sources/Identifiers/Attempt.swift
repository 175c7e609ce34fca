/// The number of a lease of a unit, counted from 1.
///
/// A result is judged by the attempt that it answers.
///
/// A mark of the job fills the bits above the count. Coordinators with different state may give two jobs the same name.
/// The mark tells a late result of one job from a result of the other.
/// Source: DESIGN section 6, guarantee 3.
public struct Attempt: Hashable, Sendable, Codable, Comparable, CustomStringConvertible {
    /// Bits of the count; the mark fills the bits above them.
    private static let countBits = 12
    /// The number of possible marks.
    ///
    /// Count and mark together fill the 31 bits that a message has for an attempt.
    public static let markCount = 1 << 19

    /// The number of the attempt, counted from 1, with the mark in its high bits.
    public let number: Int

    /// Names an attempt by its number.
    public init(_ number: Int) {
        self.number = number
    }

    /// The value before the first attempt of a job; `mark` is below ``markCount``.
    public init(beforeFirstWithMark mark: Int) {
        number = mark << Self.countBits
    }

    /// The mark of the job.
    ///
    /// It changes when the count overflows, after some thousand leases of one unit.
    public var mark: Int { number >> Self.countBits }

    /// The attempt after this one.
    public var next: Attempt { Attempt(number + 1) }

    /// The count as text.
    public var description: String { String(number & (1 << Self.countBits - 1)) }

    /// Orders attempts by their number.
    public static func < (left: Attempt, right: Attempt) -> Bool { left.number < right.number }
}
