public import Identifiers
public import JobPlan
public import UnitOperations

/// Something that happened.
///
/// Events are the scheduler's only input.
public enum SchedulerEvent: Sendable {
    /// A validated and planned job was submitted.
    case jobSubmitted(JobHeader, JobPlan)
    /// A user cancelled a job.
    case jobCancelled(JobID)
    /// A worker greeted.
    case workerJoined(WorkerID, WorkerCapacity)
    /// A worker gave a sign of life.
    case workerHeard(WorkerID)
    /// A worker reported the progress of the units that it computes.
    case workerProgressed(WorkerID, [UnitProgress])
    /// A worker takes no new units, and will leave when its current ones are finished.
    case workerDraining(WorkerID)
    /// A user asked to drain a worker.
    case drainRequested(WorkerID)
    /// A worker announced that it leaves; its units in progress do not count as failed.
    case workerLeft(WorkerID, reason: String)
    /// A worker started to compute a unit.
    case unitStarted(LeasedUnit, by: WorkerID)
    /// A unit's outputs are stored at its executor, or its file is written.
    case unitFinished(LeasedUnit, by: UnitExecutorName, UnitResult, UnitTiming)
    /// A unit could not be computed.
    case unitFailed(LeasedUnit, by: UnitExecutorName, UnitFailure)
    /// A worker offered the blobs in its store.
    case blobsHeld(WorkerID, [BlobReference])
    /// Blobs were removed from a worker's store.
    case blobsDropped(WorkerID, [BlobDigest])
    /// A worker asked the coordinator for a blob that the coordinator does not have.
    case blobWanted(BlobDigest)
    /// A blob is now in the coordinator's store.
    case blobStored(BlobReference)
    /// A blob can no longer be read from the coordinator's store.
    case blobUnreadable(BlobDigest)
    /// Files of a job that is not published yet differ from what the coordinator wrote.
    case filesLost(UnitReference, reason: String)
    /// Outputs that workers wrote into a staged file differ from their digests.
    case placesLost(UnitReference, [UnitOutput], reason: String)
    /// A collection failed: the worker does not have the blob, or has other bytes under its name.
    case collectionFailed(BlobDigest, from: WorkerID)
    /// A blob could not be stored because the coordinator's disk is full; it is collected again later.
    case collectionPaused(BlobDigest, reason: String)
    /// The coordinator resumed its jobs.
    ///
    /// These blobs are in its store, and workers will return soon.
    case restarted(stored: [BlobReference])
    /// The instant of ``SchedulerEffects/deadline`` has come.
    case deadlineReached

    /// Whether the event only concerns the units that it names, and those that read their results.
    var isProgress: Bool {
        switch self {
        case .unitFinished, .blobStored: true
        default: isSignOfLife
        }
    }

    /// Whether the event only says that a worker is alive and continues.
    var isSignOfLife: Bool {
        switch self {
        case .workerHeard, .workerProgressed, .unitStarted: true
        default: false
        }
    }
}

/// The executor of a unit.
public enum UnitExecutorName: Hashable, Sendable, Codable, CustomStringConvertible {
    /// The coordinator itself.
    case coordinator
    /// A worker.
    case worker(WorkerID)
    /// No process: the result was known from earlier work.
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

/// The lanes and memory of a worker.
public struct WorkerCapacity: Equatable, Sendable {
    /// The number of units that it computes at once.
    public var lanes: Int
    /// Memory for units, in bytes.
    public var memoryBytes: UInt64
    /// The numeric regime of its results.
    public var regime: NumericRegime

    /// States a worker's capacity.
    public init(lanes: Int, memoryBytes: UInt64, regime: NumericRegime = .unnamed) {
        self.lanes = lanes
        self.memoryBytes = memoryBytes
        self.regime = regime
    }
}

/// The duration of a unit, for the report and for estimates.
///
/// No decision about bytes depends on it.
public struct UnitTiming: Hashable, Sendable, Codable {
    /// From the unit's start to its result, in seconds.
    public var elapsedSeconds: Double
    /// The part in numeric kernels, in seconds.
    public var kernelSeconds: Double

    /// States a unit's duration.
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
