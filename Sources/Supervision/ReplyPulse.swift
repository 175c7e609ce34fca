internal import Synchronization

/// Whether an actor still answers: somebody asks it regularly and notes each answer.
public final class ReplyPulse: HealthCheck {
    private let name: String
    private let limit: Duration
    private let lastReply = Mutex<ContinuousClock.Instant?>(nil)

    /// Watches an actor.
    ///
    /// - Parameters:
    ///   - name: The actor's, for the sentence.
    ///   - limit: The longest that an answer may stay away.
    public init(_ name: String, limit: Duration) {
        self.name = name
        self.limit = limit
    }

    /// Notes an answer; from the first on, the next must follow in time.
    public func noteReply(at now: ContinuousClock.Instant = .now) {
        lastReply.withLock { $0 = now }
    }

    /// Ends the watch: the actor has no more to say.
    public func end() {
        lastReply.withLock { $0 = nil }
    }

    /// That the last answer is too long ago.
    public func problem(at now: ContinuousClock.Instant) -> String? {
        guard let last = lastReply.withLock({ $0 }), now - last > limit else { return nil }
        return "\(name) has not answered for \((now - last).components.seconds) s; it may take "
            + "\(limit.components.seconds) s"
    }
}
