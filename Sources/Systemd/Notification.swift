/// A message of a service to its manager.
///
/// Source: sd_notify(3), systemd 252.
public enum Notification: Equatable, Sendable {
    /// The start or the reload is done.
    case ready
    /// One line about the service's current activity.
    case status(String)
    /// The configuration is being read again, since this instant of `CLOCK_MONOTONIC`.
    case reloading(monotonicMicroseconds: UInt64)
    /// The service begins to end.
    case stopping
    /// A sign of life for the watchdog.
    case watchdog
    /// The current start, reload or stop may take this long from now on.
    case extendTimeout(Duration)

    /// The assignments of the message, one on each line, without a newline at the end.
    var text: String {
        switch self {
        case .ready: "READY=1"
        case .status(let line): "STATUS=\(Self.oneLine(line))"
        case .reloading(let instant): "RELOADING=1\nMONOTONIC_USEC=\(instant)"
        case .stopping: "STOPPING=1"
        case .watchdog: "WATCHDOG=1"
        case .extendTimeout(let duration): "EXTEND_TIMEOUT_USEC=\(duration.wholeMicroseconds)"
        }
    }

    /// Removes newlines, because a newline would begin another assignment.
    private static func oneLine(_ text: String) -> String {
        String(text.unicodeScalars.prefix(200).map { $0.value < 32 ? " " : Character($0) })
    }
}

extension Duration {
    /// Microseconds, rounded down and clamped: 0 for a negative duration, the largest number for too long a one.
    var wholeMicroseconds: UInt64 {
        let (seconds, attoseconds) = components
        guard seconds >= 0, attoseconds >= 0 else { return 0 }
        let (whole, overflow) = UInt64(seconds).multipliedReportingOverflow(by: 1_000_000)
        let (sum, sumOverflow) = whole.addingReportingOverflow(UInt64(attoseconds) / 1_000_000_000_000)
        return overflow || sumOverflow ? .max : sum
    }
}
