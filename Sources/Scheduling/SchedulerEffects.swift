public import Identifiers
import JobPlan
public import UnitOperations

/// The actions that the coordinator must take next, in this order.
///
/// Source: etcd-io/raft's `Ready`, where the order of side effects is also part of the type's contract.
public struct SchedulerEffects: Equatable, Sendable {
    /// Facts that must be durable BEFORE any other action is taken.
    public var records: [JournalRecord] = []
    /// Orders to workers.
    public var orders: [WorkerOrder] = []
    /// Units for the coordinator itself; each ends with `unitFinished` or `unitFailed`.
    public var coordinatorWork: [LeasedUnit] = []
    /// Blobs that workers asked for and nobody has; the workers are told.
    public var unavailable: [BlobDigest] = []
    /// Whether no running job needs the coordinator's store, so that it can be emptied.
    public var clearsStore = false
    /// Blobs of the coordinator's store that no running job needs.
    public var unneeded: [BlobDigest] = []
    /// Jobs that ended with this event.
    ///
    /// Their watchers are told, and their scratch files are removed.
    public var endedJobs: [JobID] = []
    /// Entries for the log.
    public var notices: [SchedulerNotice] = []
    /// The next instant at which `deadlineReached` must be handled; it replaces any earlier one.
    public var deadline: SchedulerInstant?

    /// Makes empty effects.
    public init() {}
}

/// A leased unit.
public struct LeasedUnit: Hashable, Sendable {
    /// The unit.
    public var unit: UnitReference
    /// The attempt of the lease.
    public var attempt: Attempt

    /// Names a lease.
    public init(_ unit: UnitReference, _ attempt: Attempt) {
        self.unit = unit
        self.attempt = attempt
    }
}

/// An order to one worker.
public enum WorkerOrder: Hashable, Sendable {
    /// Compute this unit.
    case lease(WorkerID, LeasedUnit)
    /// Forget this unit, unless its computation has started.
    case revoke(WorkerID, LeasedUnit)
    /// Send this blob to the coordinator.
    case collect(WorkerID, BlobDigest)
    /// Take no new units, finish those in progress, and leave.
    case drain(WorkerID)
    /// Leave: nothing is needed from the worker.
    case dismiss(WorkerID)
}

/// A fact for the operator's log.
public enum SchedulerNotice: Hashable, Sendable {
    /// A worker joined.
    case workerJoined(WorkerID)
    /// A worker left; its units were taken back.
    case workerLeft(WorkerID, reason: String, units: Int)
    /// A worker was lost; its units were taken back.
    case workerLost(WorkerID, reason: String, units: Int)
    /// A unit failed and will be tried again.
    case unitRetried(LeasedUnit, by: UnitExecutorName, UnitFailure, failures: Int)
    /// A queued unit moved to an idle worker.
    case unitMoved(UnitReference, from: WorkerID, to: WorkerID)
    /// A superseded attempt gave the first result, which was used.
    case lateResultUsed(LeasedUnit, by: UnitExecutorName)
    /// A second result of a unit differs from the first and was dropped.
    ///
    /// Machines that must agree do not.
    case resultsDiffer(LeasedUnit, by: UnitExecutorName)
    /// A slow unit is computed a second time by an idle worker.
    case stragglerRepeated(LeasedUnit, on: WorkerID)
    /// A lease ended because its unit made no progress, or because its worker does not know it.
    case leaseExpired(LeasedUnit, WorkerID, wasUnderWay: Bool)
    /// A finished unit is computed again, because its blobs are needed and nobody has them.
    case unitRevived(UnitReference)
    /// The blobs of a unit that was to be computed again are back.
    case unitRestored(UnitReference)
    /// A unit waits for room on a disk.
    case unitPaused(LeasedUnit, by: UnitExecutorName, reason: String)
    /// A unit was given back because an input was lost.
    case inputsLost(LeasedUnit, by: UnitExecutorName, reason: String)
    /// The coordinator's files differ from what it wrote; they are written again.
    case filesLost(UnitReference, reason: String)
    /// A worker takes no new units.
    case workerDraining(WorkerID)
    /// A unit waits because no worker has enough memory.
    case noWorkerFits(UnitReference, memoryBytes: UInt64)
}

/// A fact that outlives the process.
///
/// The state is the fold of these facts through ``Scheduler/apply(_:plan:)``.
public enum JournalRecord: Hashable, Sendable {
    /// A job was accepted.
    case jobAccepted(JobHeader)
    /// A unit's result is known.
    ///
    /// Its blobs may be lost at any time; when they are needed, the unit is computed again. The key lets later jobs use
    /// the result; files have none.
    case unitFinished(UnitReference, UnitExecutorName, UnitResult, UnitTiming, UnitKey?)
    /// A unit failed.
    case unitFailed(UnitReference, UnitExecutorName, UnitFailure)
    /// A job ended; `finishedUnits` is `nil` in a journal of an earlier version.
    case jobEnded(JobID, JobOutcome, finishedUnits: Int?)
}

/// The data that resumes a job after a restart.
public struct JobHeader: Hashable, Sendable, Codable {
    /// The job.
    public var id: JobID
    /// Digest of the job file and of the identity of its inputs.
    public var fingerprint: BlobDigest
    /// The job file's text.
    public var specText: String
    /// The job file's path; relative paths within it start at its directory.
    public var specPath: String
    /// Whether a non-empty output directory may be replaced.
    public var overwrites: Bool
    /// Absolute path of the output directory; `nil` in a journal of an earlier version, which means the job file's own.
    public var output: String?
    /// When the job was submitted, in seconds since 1970.
    public var submittedAt: Double
    /// The number of units in its plan; `nil` in a journal of an earlier version.
    public var unitCount: Int?
    /// The random mark of its attempts; `nil` for none.
    public var attemptMark: Int?

    /// Collects a job's header.
    public init(
        id: JobID, fingerprint: BlobDigest, specText: String, specPath: String, overwrites: Bool,
        output: String? = nil, submittedAt: Double, unitCount: Int? = nil, attemptMark: Int? = nil
    ) {
        self.id = id
        self.fingerprint = fingerprint
        self.specText = specText
        self.specPath = specPath
        self.overwrites = overwrites
        self.output = output
        self.submittedAt = submittedAt
        self.unitCount = unitCount
        self.attemptMark = attemptMark
    }
}

/// How a job ended.
public enum JobOutcome: Hashable, Sendable, Codable {
    /// All outputs are written.
    case succeeded
    /// The job cannot be done; nothing was published.
    case failed(UnitFailure)
    /// A user cancelled the job; nothing was published.
    case cancelled
}
