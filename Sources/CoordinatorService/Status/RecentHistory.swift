import Identifiers
import Scheduling
import Supervision
import Telemetry

/// What a coordinator remembers of its latest work, for people only; no decision depends on it.
struct RecentHistory {
    /// The latest lines about each job.
    let book: LogBook
    /// How long jobs have run.
    var clock = JobClock()
    /// Units that were finished in the last hour.
    private(set) var throughput = MinuteCounts(minutes: 60)
    /// The times when jobs succeeded, in seconds since 1970.
    ///
    /// Bound: the latest ``successesMax``.
    private(set) var successes: [(job: JobID, at: Double)] = []
    static let successesMax = Coordinator.jobsShownMax
    /// The tenths of each running job that the log has reported.
    private var toldTenths: [JobID: Int] = [:]
    /// The pauses of jobs that the log has told.
    var pauses = ToldPauses()
    private let start = ContinuousClock.now

    init(book: LogBook) {
        self.book = book
    }

    /// How long this process has run.
    var sinceStart: Duration { ContinuousClock.now - start }

    /// Counts an event.
    mutating func note(_ event: SchedulerEvent) {
        if case .unitFinished = event { throughput.add(at: sinceStart) }
    }

    /// Notes that a job succeeded.
    mutating func noteSuccess(of job: JobID, at seconds: Double) {
        successes = successes.suffix(Self.successesMax - 1) + [(job, seconds)]
    }

    /// The running jobs that have reached a tenth that is not logged yet, and their tenths.
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
