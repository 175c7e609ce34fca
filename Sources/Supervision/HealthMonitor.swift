internal import Synchronization

/// All that must turn, answer and progress in a daemon.
public final class HealthMonitor: Sendable {
    private let checks = Mutex<[any HealthCheck]>([])

    /// Watches nothing yet.
    public init() {}

    /// Watches one thing more.
    public func watch(_ check: some HealthCheck) {
        checks.withLock { $0.append(check) }
    }

    /// What is wrong, one sentence each; nothing when all is well.
    public func problems(at now: ContinuousClock.Instant = .now) -> [String] {
        checks.withLock { $0 }.compactMap { $0.problem(at: now) }
    }
}
