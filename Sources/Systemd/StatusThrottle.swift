/// Passes a status line at most once a second, and only when it has changed.
///
/// Each line wakes the service manager and its observers.
struct StatusThrottle {
    static let interval: Duration = .seconds(1)

    private var lastText: String?
    private var lastInstant: ContinuousClock.Instant?

    /// Whether to send this line now; if not, the caller offers it again later.
    mutating func admits(_ text: String, at now: ContinuousClock.Instant) -> Bool {
        guard text != lastText else { return false }
        if let lastInstant, now - lastInstant < Self.interval { return false }
        (lastText, lastInstant) = (text, now)
        return true
    }
}
