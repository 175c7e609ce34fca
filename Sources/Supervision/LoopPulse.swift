internal import Synchronization

/// Checks that a loop runs.
///
/// Each turn must end within a limit; the wait for the next turn may last forever.
public final class LoopPulse: HealthCheck {
    private let name: String
    private let limit: Duration
    private let turnBegan = Mutex<ContinuousClock.Instant?>(nil)

    /// Watches a loop.
    ///
    /// - Parameters:
    ///   - name: The loop's name, for the sentence.
    ///   - limit: The longest time of a turn.
    public init(_ name: String, limit: Duration) {
        self.name = name
        self.limit = limit
    }

    /// Marks the start of a turn.
    public func beginTurn(at now: ContinuousClock.Instant = .now) {
        turnBegan.withLock { $0 = now }
    }

    /// Marks the end of a turn; the loop then waits.
    public func endTurn() {
        turnBegan.withLock { $0 = nil }
    }

    /// The problem that a turn takes too long.
    public func problem(at now: ContinuousClock.Instant) -> String? {
        guard let began = turnBegan.withLock({ $0 }), now - began > limit else { return nil }
        return "\(name) has been at one thing for \((now - began).components.seconds) s; it may take "
            + "\(limit.components.seconds) s"
    }
}
