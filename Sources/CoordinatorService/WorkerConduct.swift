import Identifiers
import ZeroMQ

/// What the words of workers are judged by, and what the log was told of those that could not be right.
struct WorkerConduct {
    /// What workers were given.
    var given = GivenLeases()
    /// Running jobs that were taken up from the journal: workers may know them from an earlier life.
    var resumedJobs: Set<JobID> = []
    var log = RefusalLog()
    private var earlySpeakers: [RoutingIdentity] = []

    /// A connection says something before it greets: its worker comes from an earlier life, or was given up.
    ///
    /// Bound: ``EarlyResults/countMax`` connections.
    mutating func noteEarlyWord(of peer: RoutingIdentity) {
        guard !earlySpeakers.contains(peer) else { return }
        earlySpeakers = earlySpeakers.suffix(EarlyResults.countMax - 1) + [peer]
    }

    /// Whether a connection that greets said something before.
    mutating func takeEarlyWord(of peer: RoutingIdentity) -> Bool {
        defer { earlySpeakers.removeAll { $0 == peer } }
        return earlySpeakers.contains(peer)
    }
}

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
