public import Identifiers
public import JobPlan
import OrderedCollections
public import UnitOperations

/// Questions about the scheduler; nothing here changes it.
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
        /// Its outcome, or `nil` while it runs.
        public var outcome: JobOutcome?
        /// The reason why it waits, when a disk is full.
        public var pauseReason: String?
    }

    /// A worker's load.
    public struct WorkerStatus: Equatable, Sendable {
        /// The worker.
        public var id: WorkerID
        /// Its lanes and memory.
        public var capacity: WorkerCapacity
        /// The number of units that it holds.
        public var leasedUnits: Int
        /// The number of units that it is computing.
        public var startedUnits: Int
        /// The number of blobs in its store.
        public var heldBlobs: Int
        /// Their bytes.
        public var heldBytes: UInt64
        /// Whether it takes no new units.
        public var isDraining: Bool
    }

    /// All running jobs and the latest ended ones, in the order of their submission.
    public var jobStatuses: [JobStatus] {
        let all = ended.values.map { ($0.number, $0.status) } + jobs.values.map { ($0.number, $0.status) }
        return all.sorted { $0.0 < $1.0 }.map(\.1)
    }

    /// The running jobs, in the order of their submission.
    public var runningStatuses: [JobStatus] { jobs.values.map(\.status) }

    /// A job's progress, or `nil` for an unknown job.
    public func status(of id: JobID) -> JobStatus? { jobs[id]?.status ?? ended[id]?.status }

    /// The title of a job's first unit in progress, in the plan's order; `nil` while none is.
    ///
    /// Clients ask many times a second, so it does not walk over the plan.
    public func activity(of id: JobID) -> String? {
        var first: UnitIndex?
        func note(_ unit: UnitReference) {
            if unit.job == id, first.map({ unit.unit < $0 }) ?? true { first = unit.unit }
        }
        for worker in roster.workers.values { worker.leases.keys.forEach(note) }
        for lease in coordinatorLeases { note(lease.unit) }
        return first.flatMap { unit in read(id) { $0.plan.units[unit.position].title } }
    }

    /// The unit of a running job's workers that needs the most memory.
    public func largestUnit(of job: JobID) -> WorkUnit? { read(job) { $0.accepted.largestUnit } ?? nil }

    /// All workers, in the order of their joining.
    public var workerStatuses: [WorkerStatus] {
        roster.workers.map { id, worker in
            let held = ledger.holdings[id] ?? [:]
            return WorkerStatus(
                id: id, capacity: worker.capacity, leasedUnits: worker.leases.count,
                startedUnits: worker.leases.values.count { $0.hasStarted }, heldBlobs: held.count,
                heldBytes: held.values.reduce(0, &+), isDraining: worker.isDraining)
        }
    }

    /// The units of a plan that would not be computed if the plan were submitted now.
    ///
    /// Their results are known, and no unit that must be computed reads a lost blob of theirs.
    public func knownUnits(of plan: JobPlan) -> Set<UnitIndex> {
        // Keys take time to compute, so none is computed if no result is known.
        guard !known.isEmpty else { return [] }
        // Without workers, the regime of the job is not known yet.
        let regimes = roster.workers.isEmpty ? known.regimes : roster.regimes
        var results: [UnitIndex: UnitResult] = [:]
        for unit in plan.units {
            let key = plan.key(of: unit) { results[$0] }
            results[unit.index] = key.flatMap { known.result(of: $0, in: regimes)?.result }
        }
        // Go backwards: a computed unit reads blobs, and the units that make lost blobs are computed too.
        for unit in plan.units.reversed() where results[unit.index] == nil {
            for output in plan.blobs(readBy: unit) {
                guard let blob = results[output.unit]?.blob(at: output.position), !ledger.isAvailable(blob.digest)
                else { continue }
                results[output.unit] = nil
            }
        }
        return Set(results.keys)
    }

    /// The running job with this fingerprint, if the same job was submitted before.
    public func runningJob(fingerprint: BlobDigest) -> JobID? {
        jobs.values.first { $0.header.fingerprint == fingerprint }?.header.id
    }

    /// A job's header.
    public func header(of job: JobID) -> JobHeader? { jobs[job]?.header ?? ended[job]?.header }

    /// A running job's plan.
    public func plan(of job: JobID) -> JobPlan? { jobs[job]?.plan }

    /// The result of a finished unit of a running job.
    public func result(of unit: UnitReference) -> UnitResult? {
        guard let job = jobs[unit.job], job.states.indices.contains(unit.unit.position),
            case .finished(let result) = job.states[unit.unit.position]
        else { return nil }
        return result
    }

    /// The numeric regime of a finished unit's result in a running job, if known.
    public func regime(of unit: UnitReference) -> NumericRegime? { jobs[unit.job]?.regimes[unit.unit] }

    /// The executor and the duration of a finished unit of a running job.
    public func execution(of unit: UnitReference) -> (executor: UnitExecutorName, timing: UnitTiming)? {
        guard let job = jobs[unit.job], let executor = job.executors[unit.unit],
            let duration = job.durations[unit.unit]
        else { return nil }
        return (executor, duration)
    }
}
