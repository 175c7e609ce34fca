import Identifiers
import JobPlan

/// What is kept of a job that has ended: what a client may ask, without its plan and its results.
struct EndedJob: Equatable, Sendable {
    let header: JobHeader
    /// Position in the order of acceptance.
    let number: Int
    let status: Scheduler.JobStatus

    /// What is left of a job.
    init(_ job: JobProgress, _ outcome: JobOutcome) {
        header = job.header
        number = job.number
        var status = job.status
        (status.outcome, status.pauseReason) = (outcome, nil)
        self.status = status
    }

    /// What the journal tells of a job whose plan nobody needs any more.
    init(_ job: UnplannedJob, _ outcome: JobOutcome, finishedUnits: Int?) {
        header = job.header
        number = job.number
        let finished = finishedUnits ?? job.finished.count
        let total = outcome == .succeeded ? finished : max(job.header.unitCount ?? 0, finished)
        status = Scheduler.JobStatus(
            id: header.id, specPath: header.specPath, submittedAt: header.submittedAt, finishedUnits: finished,
            totalUnits: total, fraction: total > 0 ? Double(finished) / Double(total) : 1, outcome: outcome)
    }
}

/// A job of the journal that was accepted and, as the journal tells later, has ended.
struct UnplannedJob: Sendable {
    let header: JobHeader
    /// Position in the order of acceptance.
    let number: Int
    var finished: Set<UnitIndex> = []
}
