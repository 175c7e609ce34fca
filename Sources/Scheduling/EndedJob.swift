import Identifiers
import JobPlan

/// The part of an ended job that clients may ask about, without its plan and results.
struct EndedJob: Equatable, Sendable {
    let header: JobHeader
    /// Position in the order of acceptance.
    let number: Int
    let status: Scheduler.JobStatus

    /// Keeps the status of a job with its outcome.
    init(_ job: JobProgress, _ outcome: JobOutcome) {
        header = job.header
        number = job.number
        var status = job.status
        (status.outcome, status.pauseReason) = (outcome, nil)
        self.status = status
    }

    /// Keeps a job from the journal whose plan is no longer needed.
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

/// A job that the journal accepted and later ended.
struct UnplannedJob: Sendable {
    let header: JobHeader
    /// Position in the order of acceptance.
    let number: Int
    var finished: Set<UnitIndex> = []
}
