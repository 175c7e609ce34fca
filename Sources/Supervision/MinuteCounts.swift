/// The counts of an event in each of the last minutes.
///
/// The caller gives the time since some start. It never runs backwards.
public struct MinuteCounts: Equatable, Sendable {
    /// The counts, earliest first; the last one is of the current minute.
    private var counts: [Int]
    private var minute = 0

    /// Starts at zero.
    ///
    /// - Parameter minutes: The number of minutes to keep, at least 1.
    public init(minutes: Int) {
        counts = Array(repeating: 0, count: max(minutes, 1))
    }

    /// Counts events at a time.
    public mutating func add(_ count: Int = 1, at time: Duration) {
        advance(to: time)
        counts[counts.count - 1] += count
    }

    /// The counts until now, earliest first.
    public func counts(at time: Duration) -> [Int] {
        var copy = self
        copy.advance(to: time)
        return copy.counts
    }

    /// The mean count in a minute, over the kept time or since the start.
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
