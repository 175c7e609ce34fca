/// The scheduler's limits.
public struct SchedulerSettings: Equatable, Sendable {
    /// A worker that was not heard for so long is lost.
    public var workerTimeout: Duration = .seconds(10)
    /// When the scheduler is asked so much later than it wanted, the coordinator was not running meanwhile.
    public var absenceMin: Duration = .seconds(1)
    /// Units that a worker may hold beyond those that it computes, so that it never waits for an order.
    public var queuedUnitsPerWorker = 2
    /// Units that the coordinator works on at once.
    public var coordinatorLanes = 2
    /// Failures after which a unit fails its job (DESIGN section 6, guarantee 4).
    public var failuresMax = 3
    /// A lease ends when its unit made no progress for so long, and for ``nominalSecondsFactor`` times its cost.
    public var progressTimeout: Duration = .seconds(60)
    /// Patience with kernels that cannot tell how far they are: a multiple of the nominal seconds of their unit.
    ///
    /// A core may be several times slower than the nominal one, and share its caches with others.
    public var nominalSecondsFactor = 50.0
    /// A unit is a straggler when it took so many times what units of its kind took so far, for their cost.
    public var stragglerFactor = 3.0
    /// No unit that took less is a straggler.
    public var stragglerMinimum: Duration = .seconds(10)
    /// A collection that did not end within this time is ordered again.
    public var collectionTimeout: Duration = .seconds(60)
    /// Collections from one worker that are under way at once.
    public var collectionsPerWorker = 16
    /// After a full disk, how long to wait before trying again; doubled each time, up to ``pauseDoublingsMax`` times.
    public var pauseDelay: Duration = .seconds(2)
    /// How often that is doubled: 2 s become a minute.
    public var pauseDoublingsMax = 5
    /// How often a unit may find that an input was lost while it had it: then the job ends.
    ///
    /// Its disks cannot be relied on. Between two attempts it waits as it does for a full disk.
    public var inputLossesMax = 10
    /// How often the files of a unit may be found damaged before they are published: then the job ends.
    public var damagesMax = 6
    /// Units of a job that are made again for the coordinator's files at once: their blobs must fit the workers' stores
    /// until they are collected.
    public var revivalsForFilesMax = 16
    /// How many units may go past one that does not fit a worker's memory at the moment.
    public var passesMax = 16
    /// Jobs that have ended and can still be asked about; the oldest are forgotten.
    public var endedJobsMax = 1000
    /// Results that are remembered for later jobs; the oldest are forgotten.
    public var knownResultsMax = 200_000

    /// The limits that kfacd uses.
    public init() {}
}
