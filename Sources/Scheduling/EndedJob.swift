import Identifiers
import JobPlan

/// What is kept of a job that has ended: what a client may ask, without its plan and its results.
struct EndedJob: Equatable, Sendable {
    let header: JobHeader
    /// Position in the order of acceptance.
    let number: Int
    let finishedUnits: Int
    let totalUnits: Int
    /// Share of the planned cost that was done, from 0 to 1.
    let fraction: Double
    let outcome: JobOutcome

    /// What is left of a job.
    init(_ job: JobProgress, _ outcome: JobOutcome) {
        header = job.header
        number = job.number
        totalUnits = job.plan.units.count
        finishedUnits = totalUnits - job.unfinishedCount
        fraction = job.fraction
        self.outcome = outcome
    }

    /// What the journal tells of a job whose plan nobody needs any more.
    init(_ job: UnplannedJob, _ outcome: JobOutcome, finishedUnits: Int?) {
        header = job.header
        number = job.number
        self.finishedUnits = finishedUnits ?? job.finished.count
        totalUnits =
            outcome == .succeeded ? self.finishedUnits : max(job.header.unitCount ?? 0, self.finishedUnits)
        fraction = totalUnits > 0 ? Double(self.finishedUnits) / Double(totalUnits) : 1
        self.outcome = outcome
    }
}

/// A job of the journal that was accepted and, as the journal tells later, has ended.
struct UnplannedJob: Sendable {
    let header: JobHeader
    /// Position in the order of acceptance.
    let number: Int
    var finished: Set<UnitIndex> = []
}
