public import Identifiers
public import JobPlan

/// What the coordinator must do next, by kind; ``inOrder`` says in which order.
///
/// Source: etcd-io/raft's `Ready`: the order of side effects is part of the type's contract.
public struct SchedulerEffects: Equatable, Sendable {
    /// Facts to make durable BEFORE anything else is done.
    public var records: [JournalRecord] = []
    /// What an operator may want to know.
    public var notices: [SchedulerNotice] = []
    /// Workers that are gone.
    public var forgotten: [WorkerID] = []
    /// Orders to workers.
    public var orders: [AddressedOrder] = []
    /// Units for the coordinator itself.
    public var coordinatorWork: [LeasedUnit] = []
    /// Blobs that workers asked for and that nobody has.
    public var unavailable: [BlobDigest] = []
    /// Jobs that ended.
    public var endedJobs: [JobID] = []
    /// Blobs of the coordinator's store that no running job needs any more.
    public var unneeded: [BlobDigest] = []
    /// Whether no running job needs the coordinator's store any more.
    public var clearsStore = false
    /// The next instant at which `deadlineReached` must be handled; replaces any earlier one.
    public var deadline: SchedulerInstant?

    /// Nothing to do.
    public init() {}

    /// Adds an order, behind those that were given before.
    mutating func order(_ order: WorkerOrder<LeasedUnit>, to worker: WorkerID) {
        orders.append(AddressedOrder(order, to: worker))
    }
}

/// An order, and the worker that it is for.
public struct AddressedOrder: Hashable, Sendable {
    /// The worker.
    public var worker: WorkerID
    /// What it is to do.
    public var order: WorkerOrder<LeasedUnit>

    /// Addresses an order.
    public init(_ order: WorkerOrder<LeasedUnit>, to worker: WorkerID) {
        self.order = order
        self.worker = worker
    }
}

/// Something that an operator may want to know.
public enum SchedulerNotice: Hashable, Sendable {
    /// A worker joined.
    case workerJoined(WorkerID)
    /// A worker took its leave; its units were taken back.
    case workerLeft(WorkerID, reason: String, units: Int)
    /// A worker is gone; its units were taken back.
    case workerLost(WorkerID, reason: String, units: Int)
    /// A unit failed and will be tried again.
    case unitRetried(LeasedUnit, by: UnitExecutorName, UnitFailure, failures: Int)
    /// A queued unit moved to a worker that had nothing to do.
    case unitMoved(UnitReference, from: WorkerID, to: WorkerID)
    /// A result came for an attempt that had been superseded; it was the first, so it was used.
    case lateResultUsed(LeasedUnit, by: UnitExecutorName)
    /// A second result of a unit differs from the first: it was dropped. Machines that must agree do not.
    case resultsDiffer(LeasedUnit, by: UnitExecutorName)
    /// A unit that takes long is computed a second time, by a worker with nothing to do.
    case stragglerRepeated(LeasedUnit, on: WorkerID)
    /// A lease ended because its unit made no progress, or is not known to the worker that has it.
    case leaseExpired(LeasedUnit, WorkerID, wasUnderWay: Bool)
    /// A finished unit is computed again, because nobody has its blobs any more and they are needed.
    case unitRevived(UnitReference)
    /// The blobs of a unit that was to be computed again are back.
    case unitRestored(UnitReference)
    /// A unit waits for room on a disk.
    case unitPaused(LeasedUnit, by: UnitExecutorName, reason: String)
    /// A unit was given back because an input was lost.
    case inputsLost(LeasedUnit, by: UnitExecutorName, reason: String)
    /// Files that the coordinator had written are not as it wrote them; they are written again.
    case filesLost(UnitReference, reason: String)
    /// A worker takes no new units.
    case workerDraining(WorkerID)
    /// A unit waits because no worker has the memory that it needs.
    case noWorkerFits(UnitReference, memoryBytes: UInt64)
}

/// A fact that outlives the process.
///
/// State is these, folded through ``Scheduler/apply(_:plan:)``.
public enum JournalRecord: Hashable, Sendable {
    /// A job was accepted.
    case jobAccepted(JobHeader)
    /// A unit's result is known.
    ///
    /// Its blobs may be lost at any time; then it is computed again when they are needed. The key, which files have
    /// none of, lets later jobs use the result.
    case unitFinished(UnitReference, UnitExecutorName, UnitResult, UnitTiming, UnitKey?)
    /// A unit failed.
    case unitFailed(UnitReference, UnitExecutorName, UnitFailure)
    /// A job ended, after so many units; `nil` in a journal of an earlier version.
    case jobEnded(JobID, JobOutcome, finishedUnits: Int?)
}

/// What is needed to take a job up again after a restart.
public struct JobHeader: Hashable, Sendable, Codable {
    /// The job.
    public var id: JobID
    /// Digest of the job file and of the identity of its inputs.
    public var fingerprint: BlobDigest
    /// The job file's text.
    public var specText: String
    /// The job file's path; relative paths within it start at its directory.
    public var specPath: String
    /// Whether an output directory that is not empty may be replaced.
    public var overwrites: Bool
    /// Absolute path of the output directory; `nil` in a journal of an earlier version for the job file's own.
    public var output: String?
    /// When the job was submitted, in seconds since 1970.
    public var submittedAt: Double
    /// How many units its plan has; `nil` in a journal of an earlier version.
    public var unitCount: Int?
    /// The mark of its attempts, by chance; `nil` for none.
    public var attemptMark: Int?

    /// Collects what is needed to take a job up again.
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
    /// It cannot be done; nothing was published.
    case failed(UnitFailure)
    /// A user ended it; nothing was published.
    case cancelled
}
