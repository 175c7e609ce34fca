/// A line that the coordinator logged about a job.
public struct JobLogLine: Equatable, Sendable {
    /// Position among all lines of the coordinator's process.
    public var number: UInt64
    /// When, in UTC.
    public var time: String
    /// How grave it is, as the log names it.
    public var level: String
    /// The message with its fields.
    public var text: String

    /// States a line.
    public init(number: UInt64, time: String, level: String, text: String) {
        self.number = number
        self.time = time
        self.level = level
        self.text = text
    }

    init(_ wire: WireJobLogLine) {
        self.init(number: wire.number, time: wire.time, level: wire.level, text: wire.text)
    }

    var wire: WireJobLogLine {
        var wire = WireJobLogLine()
        wire.number = number
        wire.time = time
        wire.level = level
        wire.text = text
        return wire
    }
}
