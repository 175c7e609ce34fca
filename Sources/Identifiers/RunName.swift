/// A training run whose ranks write partial sums.
public struct RunName: Name {
    /// The text of the name.
    public let rawValue: String

    /// Names a run by its text.
    public init(rawValue: String) {
        self.rawValue = rawValue
    }

    /// What ``isValid`` requires, for messages.
    public static let requirement =
        "1 to 200 bytes without a path separator or control character and without a leading dot"

    /// Whether the text can name a run: it is shown to people, and becomes the name of a directory.
    public var isValid: Bool {
        let isForbidden = rawValue.unicodeScalars.contains {
            $0 == "/" || $0 == "\\" || $0.value < 32 || $0.value == 127
        }
        return !isForbidden && !rawValue.hasPrefix(".") && (1...200).contains(rawValue.utf8.count)
    }
}

/// The place of a file of partial sums in its run.
public struct PartialsPlace: Hashable, Sendable, Comparable, CustomStringConvertible {
    /// One more than the largest rank and the largest sequence.
    public static let numberMax = 1 << 31

    /// The process of the run, from 0.
    public let rank: Int
    /// The number of flushes that the rank wrote before.
    public let sequence: Int

    /// Names a place.
    public init(rank: Int, sequence: Int) {
        self.rank = rank
        self.sequence = sequence
    }

    /// Orders places as sums take them.
    public static func < (left: Self, right: Self) -> Bool {
        (left.rank, left.sequence) < (right.rank, right.sequence)
    }

    /// The place in words.
    public var description: String { "sequence \(sequence) of rank \(rank)" }
}
