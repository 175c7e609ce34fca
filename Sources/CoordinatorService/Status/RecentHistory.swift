import Identifiers
import Scheduling
import Supervision
import Telemetry

/// What a coordinator remembers of its latest past, for those who look: nothing is decided by it.
struct RecentHistory {
    /// The latest lines about each job.
    let book: LogBook
    /// Units that were finished in the last hour.
    private(set) var throughput = MinuteCounts(minutes: 60)
    /// Tenths of each running job that the log has told of.
    private var toldTenths: [JobID: Int] = [:]
    private let start = ContinuousClock.now

    init(book: LogBook) {
        self.book = book
    }

    /// How long this process has run.
    var sinceStart: Duration { ContinuousClock.now - start }

    /// Counts what happens.
    mutating func note(_ event: SchedulerEvent) {
        if case .unitFinished = event { throughput.add(at: sinceStart) }
    }

    /// The running jobs that have come a tenth further than the log has told of, and how many tenths that is.
    mutating func newTenths(of running: [Scheduler.JobStatus]) -> [(status: Scheduler.JobStatus, tenths: Int)] {
        var told: [JobID: Int] = [:]
        var news: [(Scheduler.JobStatus, Int)] = []
        for status in running {
            let tenths = Int((status.fraction * 10).rounded(.down))
            if tenths > toldTenths[status.id] ?? 0 { news.append((status, tenths)) }
            told[status.id] = max(tenths, toldTenths[status.id] ?? 0)
        }
        toldTenths = told
        return news
    }
}
