public import Identifiers
import JobPlan
public import UnitOperations

/// The actions that the coordinator must take next, by kind; ``inOrder`` gives their order.
///
/// Source: etcd-io/raft's `Ready`, where the order of side effects is also part of the type's contract.
public struct SchedulerEffects: Equatable, Sendable {
    /// Facts that must be durable BEFORE any other action is taken.
    public var records: [JournalRecord] = []
    /// Facts for the operator's log.
    public var notices: [SchedulerNotice] = []
    /// Workers that are gone.
    public var forgotten: [WorkerID] = []
    /// Orders to workers.
    public var orders: [AddressedOrder] = []
    /// Units that the coordinator computes itself.
    public var coordinatorWork: [LeasedUnit] = []
    /// Blobs that workers asked for and no worker has.
    public var unavailable: [BlobDigest] = []
    /// Jobs that ended.
    public var endedJobs: [JobID] = []
    /// Blobs of the coordinator's store that no running job needs.
    public var unneeded: [BlobDigest] = []
    /// Whether no running job needs the coordinator's store.
    public var clearsStore = false
    /// The next instant at which `deadlineReached` must be handled; it replaces any earlier one.
    public var deadline: SchedulerInstant?

    /// Makes empty effects.
    public init() {}

    /// Adds an order after the earlier ones.
    mutating func order(_ order: WorkerOrder<LeasedUnit>, to worker: WorkerID) {
        orders.append(AddressedOrder(order, to: worker))
    }
}

/// An order and its worker.
public struct AddressedOrder: Hashable, Sendable {
    /// The worker.
    public var worker: WorkerID
    /// The order.
    public var order: WorkerOrder<LeasedUnit>

    /// Addresses an order to a worker.
    public init(_ order: WorkerOrder<LeasedUnit>, to worker: WorkerID) {
        self.order = order
        self.worker = worker
    }
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
    /// Outputs in a staged file of a running job are damaged, and are written again.
    case placesLost(UnitReference, count: Int, reason: String)
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
    /// Its blobs may be lost at any time; when they are needed, the unit is computed again. The key names the regime of
    /// the result and lets later jobs use it; files have no key.
    case unitFinished(UnitReference, UnitExecutorName, UnitResult, UnitTiming, ResultKey?)
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
