public import Identifiers
public import JobPlan

/// What has happened.
///
/// Everything that the scheduler ever learns arrives as one of these.
public enum SchedulerEvent: Sendable {
    /// A validated and planned job was submitted.
    case jobSubmitted(JobHeader, JobPlan)
    /// A user asked for a job's end.
    case jobCancelled(JobID)
    /// A worker greeted.
    case workerJoined(WorkerID, WorkerCapacity)
    /// A worker gave a sign of life.
    case workerHeard(WorkerID)
    /// A worker said how far the units that it computes have come.
    case workerProgressed(WorkerID, [UnitProgress])
    /// A worker takes no new units and leaves when it has finished those that it computes.
    case workerDraining(WorkerID)
    /// A user wants a worker to do so.
    case drainRequested(WorkerID)
    /// A worker said that it is leaving; what it computed does not count as failed.
    case workerLeft(WorkerID, reason: String)
    /// A worker began to compute a unit.
    case unitStarted(UnitReference, Attempt, by: WorkerID)
    /// A unit's outputs lie with whoever computed it, or its file is written.
    case unitFinished(UnitReference, Attempt, by: UnitExecutorName, UnitResult, UnitTiming)
    /// A unit could not be computed.
    case unitFailed(UnitReference, Attempt, by: UnitExecutorName, UnitFailure)
    /// A worker offered what lies in its store.
    case blobsHeld(WorkerID, [BlobReference])
    /// Blobs no longer lie in a worker's store.
    case blobsDropped(WorkerID, [BlobDigest])
    /// A worker asked the coordinator for a blob that it does not have.
    case blobWanted(BlobDigest)
    /// A blob lies in the coordinator's store.
    case blobStored(BlobReference)
    /// A blob can no longer be read from the coordinator's store.
    case blobUnreadable(BlobDigest)
    /// Files that a unit of the coordinator's had written before a job's publication are not as it wrote them.
    case filesLost(UnitReference, reason: String)
    /// A blob that was collected from a worker did not come: the worker does not have it, or another of that name.
    case collectionFailed(BlobDigest, from: WorkerID)
    /// A blob could not be stored, since the coordinator's disk is full; it is collected again later.
    case collectionPaused(BlobDigest, reason: String)
    /// The coordinator has taken up its jobs; these blobs lie in its store, and workers are about to come back.
    case restarted(stored: [BlobReference])
    /// The instant that ``SchedulerEffects/deadline`` named has come.
    case deadlineReached

    /// Whether it only says that somebody is there and goes on with what it has.
    var isSignOfLife: Bool {
        switch self {
        case .workerHeard, .workerProgressed, .unitStarted: true
        default: false
        }
    }
}

/// Who computed a unit.
public enum UnitExecutorName: Hashable, Sendable, Codable, CustomStringConvertible {
    /// The coordinator itself.
    case coordinator
    /// A worker.
    case worker(WorkerID)
    /// Nobody: the result was known from earlier work.
    case earlierWork

    /// `coordinator`, or the worker's name.
    public var description: String {
        switch self {
        case .coordinator: "coordinator"
        case .earlierWork: "earlier work"
        case .worker(let worker): worker.rawValue
        }
    }
}

/// What a worker offers.
public struct WorkerCapacity: Equatable, Sendable {
    /// Units that it computes at once.
    public var lanes: Int
    /// Memory for units, in bytes.
    public var memoryBytes: UInt64

    /// States what a worker offers.
    public init(lanes: Int, memoryBytes: UInt64) {
        self.lanes = lanes
        self.memoryBytes = memoryBytes
    }
}

/// How long a unit took: for the report and for estimates, never for decisions about bytes.
public struct UnitTiming: Hashable, Sendable, Codable {
    /// From the unit's start to its result, in seconds.
    public var elapsedSeconds: Double
    /// In numeric kernels, in seconds.
    public var kernelSeconds: Double

    /// States how long a unit took.
    public init(elapsedSeconds: Double, kernelSeconds: Double) {
        self.elapsedSeconds = elapsedSeconds
        self.kernelSeconds = kernelSeconds
    }
}

/// An instant on the coordinator's own monotonic clock.
public struct SchedulerInstant: Hashable, Sendable, Comparable {
    /// Time since the coordinator started.
    public var sinceStart: Duration

    /// Names an instant.
    public init(sinceStart: Duration) {
        self.sinceStart = sinceStart
    }

    /// The instant a duration later.
    public func advanced(by duration: Duration) -> SchedulerInstant {
        SchedulerInstant(sinceStart: sinceStart + duration)
    }

    /// Orders by time.
    public static func < (left: SchedulerInstant, right: SchedulerInstant) -> Bool {
        left.sinceStart < right.sinceStart
    }
}
