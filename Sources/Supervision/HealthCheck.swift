/// A part of the process; if it stands still, the process should be restarted.
public protocol HealthCheck: Sendable {
    /// The problem as a sentence, or `nil`.
    func problem(at now: ContinuousClock.Instant) -> String?
}
