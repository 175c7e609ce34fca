import Foundation

/// The time left as it is shown: it runs down second by second, and goes over to a new estimate gradually.
public struct TimeLeft: Sendable {
    /// How fast: after so long, two thirds of a change are shown.
    private static let settling: Duration = .seconds(8)

    private var shown: (seconds: Double, at: ContinuousClock.Instant)?

    /// Nothing is known yet.
    public init() {}

    /// Takes in an estimate.
    ///
    /// - Parameters:
    ///   - estimate: Seconds left as they are believed now; `nil` when nobody knows.
    ///   - now: The instant.
    /// - Returns: Seconds to show, or `nil` for nothing.
    public mutating func update(_ estimate: Double?, at now: ContinuousClock.Instant = .now) -> Double? {
        guard let estimate, estimate.isFinite else {
            shown = nil
            return nil
        }
        guard let (seconds, before) = shown else {
            shown = (estimate, now)
            return estimate
        }
        let passed = before.duration(to: now) / .seconds(1)
        let expected = max(0, seconds - passed)
        let share = 1 - exp(-passed / (Self.settling / .seconds(1)))
        let next = expected + (estimate - expected) * share
        shown = (next, now)
        return next
    }
}
