/// Shows a line of progress repeatedly: redrawn on a terminal, at intervals elsewhere.
public struct ProgressOutput: Sendable {
    /// The time between two lines of a log.
    private static let interval: Duration = .seconds(10)

    private var lastNote: ContinuousClock.Instant?

    /// Shows nothing yet.
    public init() {}

    /// Shows the current progress.
    ///
    /// - Parameters:
    ///   - line: The line to show.
    ///   - isLast: Whether this is the last line. A log always gets the last line; a terminal keeps it.
    ///   - now: The instant.
    public mutating func show(_ line: ProgressLine, isLast: Bool = false, at now: ContinuousClock.Instant = .now) {
        if Terminal.isInteractive {
            Terminal.redraw { line.text(columns: $0) }
            if isLast { Terminal.keepLine() }
        } else if isLast || lastNote.map({ $0.duration(to: now) >= Self.interval }) ?? true {
            Terminal.note(line.plain)
            lastNote = now
        }
    }
}
