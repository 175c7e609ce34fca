/// A line that the coordinator logged about a job.
public struct JobLogLine: Equatable, Sendable {
    /// The line's position among all lines of the coordinator's process.
    public var number: UInt64
    /// The time, in UTC.
    public var time: String
    /// The log level.
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
