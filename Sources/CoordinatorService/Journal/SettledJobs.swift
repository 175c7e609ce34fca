import Identifiers
import Scheduling

/// How far jobs have come according to facts that are durable.
///
/// The scheduler is ahead of them while the journal commits; a copy of all of it would make each commit as costly as
/// the largest job is large.
struct SettledJobs {
    private var order: [JobID] = []
    private var statuses: [JobID: Scheduler.JobStatus] = [:]

    /// All of them, in the order of their submission.
    var all: [Scheduler.JobStatus] { order.compactMap { statuses[$0] } }

    /// Those that have not ended.
    var running: [Scheduler.JobStatus] { all.filter { $0.outcome == nil } }

    subscript(id: JobID) -> Scheduler.JobStatus? { statuses[id] }

    /// Takes over what has just become durable.
    ///
    /// - Parameters:
    ///   - scheduler: All that is decided, of which nothing waits for the journal.
    ///   - hasEnded: Whether a job has ended since the last time: only then more than the running ones is looked at.
    mutating func update(from scheduler: Scheduler, hasEnded: Bool) {
        if hasEnded {
            let all = scheduler.jobStatuses
            order = all.map(\.id)
            statuses = Dictionary(all.map { ($0.id, $0) }) { $1 }
        } else {
            for status in scheduler.runningStatuses where statuses.updateValue(status, forKey: status.id) == nil {
                order.append(status.id)
            }
        }
    }
}
