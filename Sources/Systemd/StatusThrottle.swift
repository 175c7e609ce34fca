/// Lets a status line through at most once a second and only when it is another one: each wakes the service manager
/// and whoever watches it.
struct StatusThrottle {
    static let interval: Duration = .seconds(1)

    private var lastText: String?
    private var lastInstant: ContinuousClock.Instant?

    /// Whether this line is to be sent now; the caller offers the line again later if not.
    mutating func admits(_ text: String, at now: ContinuousClock.Instant) -> Bool {
        guard text != lastText else { return false }
        if let lastInstant, now - lastInstant < Self.interval { return false }
        (lastText, lastInstant) = (text, now)
        return true
    }
}
