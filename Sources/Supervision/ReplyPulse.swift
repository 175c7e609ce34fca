internal import Synchronization

/// Checks that an actor answers; a task asks the actor at intervals and notes each answer.
public final class ReplyPulse: HealthCheck {
    private let name: String
    private let limit: Duration
    private let lastReply = Mutex<ContinuousClock.Instant?>(nil)

    /// Watches an actor.
    ///
    /// - Parameters:
    ///   - name: The actor's name, for the sentence.
    ///   - limit: The longest time between two answers.
    public init(_ name: String, limit: Duration) {
        self.name = name
        self.limit = limit
    }

    /// Notes an answer; after the first one, the next must follow in time.
    public func noteReply(at now: ContinuousClock.Instant = .now) {
        lastReply.withLock { $0 = now }
    }

    /// Ends the check: the actor will not answer any more.
    public func end() {
        lastReply.withLock { $0 = nil }
    }

    /// The problem that the last answer is too old.
    public func problem(at now: ContinuousClock.Instant) -> String? {
        guard let last = lastReply.withLock({ $0 }), now - last > limit else { return nil }
        return "\(name) has not answered for \((now - last).components.seconds) s; it may take "
            + "\(limit.components.seconds) s"
    }
}
