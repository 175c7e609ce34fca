import Identifiers
import Scheduling

/// The state of jobs as of the last durable facts.
///
/// The scheduler is ahead of this state while the journal commits. A full copy of the scheduler would make each commit
/// as costly as the largest job.
struct SettledJobs {
    private var order: [JobID] = []
    private var statuses: [JobID: Scheduler.JobStatus] = [:]

    /// All jobs in the order of submission.
    var all: [Scheduler.JobStatus] { order.compactMap { statuses[$0] } }

    /// Jobs that have not ended.
    var running: [Scheduler.JobStatus] { all.filter { $0.outcome == nil } }

    subscript(id: JobID) -> Scheduler.JobStatus? { statuses[id] }

    /// Takes over facts that have just become durable.
    ///
    /// - Parameters:
    ///   - scheduler: All decisions; none of them waits for the journal.
    ///   - hasEnded: Whether a job has ended since the last call. Only then are other jobs than the running ones read.
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
