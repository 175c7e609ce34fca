import Foundation

/// The displayed time left.
///
/// It counts down by seconds, and moves to a new estimate gradually.
public struct TimeLeft: Sendable {
    /// The time after which two thirds of a change are shown.
    private static let settling: Duration = .seconds(8)

    private var shown: (seconds: Double, at: ContinuousClock.Instant)?

    /// Begins without an estimate.
    public init() {}

    /// Takes in an estimate.
    ///
    /// - Parameters:
    ///   - estimate: The current estimate in seconds; `nil` for none.
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
