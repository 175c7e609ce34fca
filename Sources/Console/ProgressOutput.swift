/// Shows a line of progress again and again: drawn over on a terminal, at times elsewhere.
public struct ProgressOutput: Sendable {
    /// Between two lines of a log.
    private static let interval: Duration = .seconds(10)

    private var lastNote: ContinuousClock.Instant?

    /// Shows nothing yet.
    public init() {}

    /// Shows how far it is.
    ///
    /// - Parameters:
    ///   - line: What to show.
    ///   - isLast: Whether no other follows: a log gets it whatever it got before, a terminal keeps it.
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
