/// Limits the logged refusals to ten a minute.
struct RefusalLog {
    /// The log line for a refused message.
    enum Line {
        case told
        /// A line that says that no more are logged for a while.
        case last
        case untold
    }

    static let linesMax = 10
    private var start: ContinuousClock.Instant?
    private var count = 0

    /// Notes a refused message.
    mutating func note(at now: ContinuousClock.Instant) -> Line {
        if start.map({ now - $0 >= .seconds(60) }) ?? true { (start, count) = (now, 0) }
        count += 1
        return count <= Self.linesMax ? .told : count == Self.linesMax + 1 ? .last : .untold
    }
}

/// Why a worker's message was refused.
enum RefusedWord: String, CaseIterable {
    /// It names a unit that the worker was not given.
    case unit
    /// It names a blob that the worker was not asked for.
    case blob
    /// It asks for bytes of a job of which the worker was given nothing.
    case range
    /// The result does not fit the unit.
    case result
    /// It uses another worker's name.
    case name
}
