/// The scheduler's limits.
public struct SchedulerSettings: Equatable, Sendable {
    /// A worker that was not heard for this long is lost.
    public var workerTimeout: Duration = .seconds(10)
    /// If the scheduler is called this much later than requested, the coordinator was not running in the meantime.
    public var absenceMin: Duration = .seconds(1)
    /// Units that a worker may hold beyond those in progress, so that it never waits for an order.
    public var queuedUnitsPerWorker = 2
    /// The same where all units of the worker are brief, so that many of them share a message.
    public var queuedBriefUnitsPerWorker = 32
    /// The number of units that the coordinator works on at once.
    public var coordinatorLanes = 2
    /// Failures after which a unit fails its job (DESIGN section 6, guarantee 4).
    public var failuresMax = 3
    /// A lease ends when its unit made no progress for this long, and for ``nominalSecondsFactor`` times its cost.
    public var progressTimeout: Duration = .seconds(60)
    /// The time limit for kernels that report no progress: a multiple of their unit's nominal seconds.
    ///
    /// A core may be several times slower than the nominal one, and may share its caches.
    public var nominalSecondsFactor = 50.0
    /// A unit is a straggler when it takes this many times as long as units of its kind, relative to cost.
    public var stragglerFactor = 3.0
    /// A unit that has taken less time is not a straggler.
    public var stragglerMinimum: Duration = .seconds(10)
    /// A collection that has not ended within this time is ordered again.
    public var collectionTimeout: Duration = .seconds(60)
    /// Whether the coordinator collects results that workers read after a file has them.
    ///
    /// A worker's small store may lose them, and another worker may read them later. Where the stores of all share a
    /// disk and end with the job, a second copy takes time and room and saves nothing: what is lost is made again. Then
    /// workers also keep no blob that nobody needs beside its file (`JobPlan.outputsForFilesAlone`).
    public var collectsForWorkers = true
    /// The number of simultaneous collections from one worker.
    public var collectionsPerWorker = 16
    /// The delay before another attempt after a full disk; it doubles each time, up to ``pauseDoublingsMax`` times.
    public var pauseDelay: Duration = .seconds(2)
    /// How often the delay doubles: 2 s become a minute.
    public var pauseDoublingsMax = 5
    /// How often an input of a unit may be lost during its lease; after that the job ends.
    ///
    /// The disks are then unreliable. Between two attempts the unit rests as for a full disk.
    public var inputLossesMax = 10
    /// How often the files of a unit may be found damaged before publication; after that the job ends.
    public var damagesMax = 6
    /// The number of a job's units that are revived at once for the coordinator's files.
    ///
    /// Their blobs must fit in the workers' stores until they are collected.
    public var revivalsForFilesMax = 16
    /// How many units may pass one that does not fit a worker's free memory.
    public var passesMax = 16
    /// Ended jobs that clients can still ask about; the oldest are forgotten.
    public var endedJobsMax = 1000
    /// Results that are remembered for later jobs; the oldest are forgotten.
    public var knownResultsMax = 200_000

    /// The limits that kfacd uses.
    public init() {}
}
