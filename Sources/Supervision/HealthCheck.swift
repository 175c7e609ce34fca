/// Something whose standstill means that the process is better ended and started anew.
public protocol HealthCheck: Sendable {
    /// What is wrong, as a sentence, or `nil`.
    func problem(at now: ContinuousClock.Instant) -> String?
}
