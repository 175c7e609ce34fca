internal import Synchronization

/// Whether a loop still turns: each turn must end within a limit, while waiting for the next may take for ever.
public final class LoopPulse: HealthCheck {
    private let name: String
    private let limit: Duration
    private let turnBegan = Mutex<ContinuousClock.Instant?>(nil)

    /// Watches a loop.
    ///
    /// - Parameters:
    ///   - name: The loop's, for the sentence.
    ///   - limit: The longest that a turn may take.
    public init(_ name: String, limit: Duration) {
        self.name = name
        self.limit = limit
    }

    /// Marks the beginning of a turn.
    public func beginTurn(at now: ContinuousClock.Instant = .now) {
        turnBegan.withLock { $0 = now }
    }

    /// Marks its end: the loop waits for something to do.
    public func endTurn() {
        turnBegan.withLock { $0 = nil }
    }

    /// That a turn has taken too long.
    public func problem(at now: ContinuousClock.Instant) -> String? {
        guard let began = turnBegan.withLock({ $0 }), now - began > limit else { return nil }
        return "\(name) has been at one thing for \((now - began).components.seconds) s; it may take "
            + "\(limit.components.seconds) s"
    }
}
