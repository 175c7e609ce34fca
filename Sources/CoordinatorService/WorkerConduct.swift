import Identifiers
import ZeroMQ

/// The data by which workers' messages are judged, and a record of the refused ones that were logged.
struct WorkerConduct {
    /// What workers were given.
    var given = GivenLeases()
    /// Running jobs that were resumed from the journal; workers may know them from an earlier life.
    var resumedJobs: Set<JobID> = []
    var log = RefusalLog()
    private var earlySpeakers: [RoutingIdentity] = []

    /// Notes a message before the greeting; its worker is from an earlier life, or counts as lost.
    ///
    /// Bound: ``EarlyResults/countMax`` connections.
    mutating func noteEarlyWord(of peer: RoutingIdentity) {
        guard !earlySpeakers.contains(peer) else { return }
        earlySpeakers = earlySpeakers.suffix(EarlyResults.countMax - 1) + [peer]
    }

    /// Whether a connection sent a message before its greeting.
    mutating func takeEarlyWord(of peer: RoutingIdentity) -> Bool {
        defer { earlySpeakers.removeAll { $0 == peer } }
        return earlySpeakers.contains(peer)
    }
}

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
