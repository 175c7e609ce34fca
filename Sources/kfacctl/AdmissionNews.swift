import Console
import Identifiers

/// Tells a user who waits the progress of the check.
enum AdmissionNews {
    /// Shows nothing for a short check, and nothing without a terminal.
    static func show(_ text: String, since start: ContinuousClock.Instant) {
        let seconds = (ContinuousClock.now - start).components.seconds
        if Terminal.isInteractive {
            Terminal.redraw("checking the job file: \(text.excerpt) (\(seconds) s) ")
        } else if seconds > 0, seconds.isMultiple(of: 10) {
            Terminal.note("checking the job file: \(text.excerpt) (\(seconds) s)")
        }
    }
}
