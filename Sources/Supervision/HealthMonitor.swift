internal import Synchronization

/// All parts of a daemon that must make progress.
public final class HealthMonitor: Sendable {
    private let checks = Mutex<[any HealthCheck]>([])

    /// Starts with no checks.
    public init() {}

    /// Adds a check.
    public func watch(_ check: some HealthCheck) {
        checks.withLock { $0.append(check) }
    }

    /// The problems, one sentence each; empty when the daemon is healthy.
    public func problems(at now: ContinuousClock.Instant = .now) -> [String] {
        checks.withLock { $0 }.compactMap { $0.problem(at: now) }
    }
}
