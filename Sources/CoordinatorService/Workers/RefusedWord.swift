/// How many refused words are logged: ten a minute.
struct RefusalLog {
    /// What the log gets of a word.
    enum Line {
        case told
        /// That no more are told for a while.
        case last
        case untold
    }

    static let linesMax = 10
    private var start: ContinuousClock.Instant?
    private var count = 0

    /// Notes a word.
    mutating func note(at now: ContinuousClock.Instant) -> Line {
        if start.map({ now - $0 >= .seconds(60) }) ?? true { (start, count) = (now, 0) }
        count += 1
        return count <= Self.linesMax ? .told : count == Self.linesMax + 1 ? .last : .untold
    }
}

/// What was wrong with a word of a worker.
enum RefusedWord: String, CaseIterable {
    /// It speaks of a unit that the worker was not given.
    case unit
    /// It speaks of a blob that the worker was not asked for.
    case blob
    /// It asks for bytes of a job of which the worker was given nothing.
    case range
    /// The result does not fit the unit.
    case result
    /// It speaks in another worker's name.
    case name
}
