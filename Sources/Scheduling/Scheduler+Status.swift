public import Identifiers
public import JobPlan
import OrderedCollections

/// What can be asked of the scheduler; nothing here changes it.
extension Scheduler {
    /// A job's progress.
    public struct JobStatus: Equatable, Sendable {
        /// The job.
        public var id: JobID
        /// The job file's path.
        public var specPath: String
        /// When it was submitted, in seconds since 1970.
        public var submittedAt: Double
        /// Finished units.
        public var finishedUnits: Int
        /// All units.
        public var totalUnits: Int
        /// Share of the planned cost that is done, from 0 to 1.
        public var fraction: Double
        /// How it ended, or `nil` while it runs.
        public var outcome: JobOutcome?
    }

    /// A worker's load.
    public struct WorkerStatus: Equatable, Sendable {
        /// The worker.
        public var id: WorkerID
        /// What it offers.
        public var capacity: WorkerCapacity
        /// Units in its hands.
        public var leasedUnits: Int
        /// Units that it is computing.
        public var startedUnits: Int
    }

    /// All jobs, in the order of their submission.
    public var jobStatuses: [JobStatus] { jobs.keys.compactMap(status(of:)) }

    /// A job's progress, or `nil` for an unknown job.
    public func status(of id: JobID) -> JobStatus? {
        guard let job = jobs[id] else { return nil }
        var done = 0.0
        var total = 0.0
        for unit in job.plan.units {
            total += unit.cost.nominalSeconds
            if job.isFinished(unit.index) { done += unit.cost.nominalSeconds }
        }
        return JobStatus(
            id: id, specPath: job.header.specPath, submittedAt: job.header.submittedAt,
            finishedUnits: job.plan.units.count - job.unfinishedCount, totalUnits: job.plan.units.count,
            fraction: total > 0 ? done / total : 1, outcome: job.outcome)
    }

    /// What is being computed of a job, by the units' titles, the most urgent first.
    public func activity(of id: JobID) -> [String] {
        guard let job = jobs[id], job.outcome == nil else { return [] }
        return job.plan.units.filter {
            if case .leased = job.states[$0.index.position] { true } else { false }
        }.map(\.title)
    }

    /// All workers, in the order of their joining.
    public var workerStatuses: [WorkerStatus] {
        roster.workers.map { id, worker in
            WorkerStatus(
                id: id, capacity: worker.capacity, leasedUnits: worker.leases.count,
                startedUnits: worker.leases.values.count { $0.hasStarted })
        }
    }

    /// The running job with this fingerprint: the same job submitted again.
    public func runningJob(fingerprint: BlobDigest) -> JobID? {
        jobs.values.first { $0.outcome == nil && $0.header.fingerprint == fingerprint }?.header.id
    }

    /// A job's header.
    public func header(of job: JobID) -> JobHeader? { jobs[job]?.header }

    /// A job's plan.
    public func plan(of job: JobID) -> JobPlan? { jobs[job]?.plan }

    /// A finished unit's result.
    public func result(of unit: UnitReference) -> UnitResult? {
        guard let job = jobs[unit.job], job.states.indices.contains(unit.unit.position),
            case .finished(let result) = job.states[unit.unit.position]
        else { return nil }
        return result
    }

    /// Who computed a unit and how long it took, once it is finished.
    public func execution(of unit: UnitReference) -> (executor: UnitExecutorName, timing: UnitTiming)? {
        guard let job = jobs[unit.job], let executor = job.executors[unit.unit],
            let duration = job.durations[unit.unit]
        else { return nil }
        return (executor, duration)
    }
}
