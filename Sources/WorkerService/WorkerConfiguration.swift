public import FileAccess
public import Identifiers
public import Keys
public import SystemPackage
public import ZeroMQ

/// The settings of a worker.
public struct WorkerConfiguration: Sendable {
    /// The endpoint of the coordinator.
    public var coordinator: Endpoint
    /// The worker's name among all workers; a restarted worker has a new one.
    public var worker: WorkerID
    /// The name of the machine.
    public var host: String
    /// Units computed at once, each with one BLAS thread.
    public var lanes: Int
    /// Memory for units, in bytes.
    public var memoryBytes: UInt64
    /// Memory for sums of rows that clients stream, in bytes, besides that for units; 0 takes no rows.
    public var rowMemoryBytes: UInt64 = 0
    /// How long to wait for the coordinator's first answer.
    public var greetingLimit: Duration
    /// The program's version.
    public var build: String
    /// The directory of the worker's blobs; no other worker may use it.
    public var cacheDirectory: FilePath
    /// The limit of bytes of blobs in the directory.
    public var cacheLimit: CacheLimit
    /// Whether the directory outlives the process, so that its blobs must survive a power failure.
    public var keepsCache: Bool
    /// How long a stopping worker waits for the coordinator to collect the blobs that it still wants.
    public var drainLimit: Duration
    /// The worker's key and the coordinator's; without them only a coordinator of this machine is allowed.
    public var keys: PeerKeys?
    /// The directories where files may be read; files elsewhere are streamed.
    public var roots = FileRoots.unlimited
    /// What computes factors.
    public var backend: any FactorBackend = FactorBackendRegistry.standard

    /// Collects the settings of a worker.
    public init(
        coordinator: Endpoint, worker: WorkerID, host: String, lanes: Int, memoryBytes: UInt64,
        greetingLimit: Duration, build: String, cacheDirectory: FilePath, cacheLimit: CacheLimit,
        keepsCache: Bool = true, drainLimit: Duration = .seconds(90)
    ) {
        self.coordinator = coordinator
        self.worker = worker
        self.host = host
        self.lanes = lanes
        self.memoryBytes = memoryBytes
        self.greetingLimit = greetingLimit
        self.build = build
        self.cacheDirectory = cacheDirectory
        self.cacheLimit = cacheLimit
        self.keepsCache = keepsCache
        self.drainLimit = drainLimit
    }
}
