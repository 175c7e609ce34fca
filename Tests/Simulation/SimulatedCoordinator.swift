import Identifiers
import JobPlan
import OrderedCollections
import Scheduling
import UnitOperations

/// A coordinator as its service is: what has happened is taken in together, made durable together, then acted on.
struct SimulatedCoordinator {
    var scheduler: Scheduler
    let settings: SchedulerSettings
    /// Counts its starts: what an earlier life has set going does not concern this one.
    var life = 0
    /// Whether it runs, and whether it is about to read its journal.
    var isUp = false
    var isStarting = false
    /// When it started, and how far its clock has leapt since.
    var startedAt = 0
    var leap = 0
    /// The process is stopped until then; what arrives waits.
    var stalledUntil = 0
    var diskFullUntil = 0
    /// There is no room for blobs and files until then, but for the journal.
    var storeFullUntil = 0

    /// Whether a blob or a file can be written.
    func hasRoom(at time: Int) -> Bool { max(diskFullUntil, storeFullUntil) <= time }

    // What a crash leaves.

    /// Blobs by name, and whether their bytes are damaged.
    var store: OrderedDictionary<BlobDigest, SimulatedWorker.Blob> = [:]
    var staging: [JobID: [String: [BlobDigest]]] = [:]
    /// What stands in staged files that are not finished: workers wrote it there.
    var places: [JobID: [UnitOutput: BlobDigest]] = [:]
    /// Staged files that are not as they were written.
    var damagedFiles: [JobID: Set<String>] = [:]
    var published: [JobID: [String: [BlobDigest]]] = [:]

    // What a crash takes.

    /// What has happened and waits to be taken in, with the time of its coming.
    var pending: [(event: SchedulerEvent, time: Int)] = []
    /// What was decided and waits for its facts to be durable.
    var batch = EffectBatch()
    var isCommitting = false
    var isTurnScheduled = false
    var deadline: SchedulerInstant?
    var deadlineTick: Int?
    /// Workers that greeted, with the number of their connection.
    var connected: [WorkerID: Int] = [:]
    /// Workers that wait for a blob's bytes.
    var waiting: OrderedDictionary<BlobDigest, [WorkerID]> = [:]
    /// Files that the lanes are writing, as they were when the lanes began.
    var reports: [LeasedUnit: [UnitResult]] = [:]

    init(settings: SchedulerSettings) {
        self.settings = settings
        scheduler = Scheduler(settings: settings)
    }

    /// Its own clock.
    func now(at time: Int) -> SchedulerInstant {
        SchedulerInstant(sinceStart: .milliseconds(time + leap - startedAt))
    }
}

/// Where a coordinator dies when it next commits something.
enum CrashPoint {
    /// Decided, but not durable: the events are lost.
    case beforeCommit
    /// Durable, but nobody was told.
    case afterCommit
    /// Some were told, others not.
    case between
}
