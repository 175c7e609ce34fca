import LinearAlgebra

/// The search for the k-th largest magnitude of a vector, and for the last of its elements that is among the k.
struct MagnitudeSearch: Sendable {
    /// How many of the elements that are still possible are among the k.
    private var remaining: Int
    private var leading: UInt32 = 0
    private var counts: [UInt32] = []
    /// How many elements have the key.
    private var equalCount = 0

    /// The key of the k-th magnitude, after both counts.
    private(set) var key: UInt32 = 0
    /// The index behind the last element of the key that is among the k; no bound if all are.
    private(set) var end = Int.max

    /// Searches the k-th magnitude; k is at least 1.
    init(_ count: Int) { remaining = count }

    /// Whether some elements of the key are among the k, and others are not, and the last is not found yet.
    var isAmbiguous: Bool { remaining > 0 && remaining < equalCount }

    /// Finds the leading digit.
    mutating func takeLeading(_ counts: [UInt32]) {
        (leading, remaining, _) = Self.digit(counts, remaining)
        self.counts = [UInt32](repeating: 0, count: MagnitudeKey.trailingCount)
    }

    /// Counts the trailing digits of some values.
    mutating func countTrailing(_ values: Span<Double>) {
        let leading = leading
        var span = counts.mutableSpan
        MagnitudeKey.countTrailing(values, leading: leading, into: &span)
    }

    /// Finds the trailing digit.
    mutating func takeTrailing() {
        let trailing: UInt32
        (trailing, remaining, equalCount) = Self.digit(counts, remaining)
        key = leading << 16 | trailing
        counts = []
    }

    /// Looks for the last of the k among some values.
    mutating func findEnd(_ values: Span<Double>, _ first: Int) {
        guard isAmbiguous else { return }
        let found = MagnitudeKey.count(values, of: key)
        guard found >= remaining else {
            remaining -= found
            equalCount -= found
            return
        }
        for index in values.indices where MagnitudeKey.of(values[index]) == key {
            remaining -= 1
            guard remaining == 0 else { continue }
            end = first + index + 1
            return
        }
    }

    /// The digit of the k-th largest, with what remains of k within the digit, and the digit's count.
    private static func digit(_ counts: [UInt32], _ count: Int) -> (digit: UInt32, remaining: Int, count: Int) {
        var (digit, remaining) = (counts.count - 1, count)
        while digit > 0, Int(counts[digit]) < remaining {
            remaining -= Int(counts[digit])
            digit -= 1
        }
        return (UInt32(digit), remaining, Int(counts[digit]))
    }
}
