/// Which lease of a unit this is, counted from 1: a result is judged by the attempt that it answers.
///
/// Source: DESIGN section 6, guarantee 3.
public struct Attempt: Hashable, Sendable, Codable, Comparable, CustomStringConvertible {
    /// The number of the attempt, from 1.
    public let number: Int

    /// Names an attempt by its number.
    public init(_ number: Int) {
        self.number = number
    }

    /// The attempt after this one.
    public var next: Attempt { Attempt(number + 1) }

    /// The number as text.
    public var description: String { String(number) }

    /// Orders attempts by their number.
    public static func < (left: Attempt, right: Attempt) -> Bool { left.number < right.number }
}
