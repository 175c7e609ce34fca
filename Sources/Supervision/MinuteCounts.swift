/// How often something happened in each of the last minutes.
///
/// Time is what the caller says, since some start, and never runs backwards.
public struct MinuteCounts: Equatable, Sendable {
    /// The counts, the earliest first; the last is that of the minute that is not over.
    private var counts: [Int]
    private var minute = 0

    /// Nothing yet.
    ///
    /// - Parameter minutes: How many minutes are kept, at least 1.
    public init(minutes: Int) {
        counts = Array(repeating: 0, count: max(minutes, 1))
    }

    /// Counts something that happens now.
    public mutating func add(_ count: Int = 1, at time: Duration) {
        advance(to: time)
        counts[counts.count - 1] += count
    }

    /// The counts until now, the earliest first.
    public func counts(at time: Duration) -> [Int] {
        var copy = self
        copy.advance(to: time)
        return copy.counts
    }

    /// How many a minute: the mean over the time that is kept, or since the start.
    public func perMinute(at time: Duration) -> Double {
        let seconds = max(Double(time.components.seconds), 1)
        let kept = min(seconds, Double(60 * (counts.count - 1)) + seconds.truncatingRemainder(dividingBy: 60))
        return Double(counts(at: time).reduce(0, +)) / max(kept, 1) * 60
    }

    private mutating func advance(to time: Duration) {
        let now = Int(time.components.seconds / 60)
        let passed = min(max(now - minute, 0), counts.count)
        guard passed > 0 else { return }
        counts = Array(counts.dropFirst(passed)) + Array(repeating: 0, count: passed)
        minute = now
    }
}
