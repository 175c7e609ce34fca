public import FileAccess
public import Identifiers
public import Keys
public import SystemPackage
public import ZeroMQ

/// How a worker runs.
public struct WorkerConfiguration: Sendable {
    /// Where the coordinator listens.
    public var coordinator: Endpoint
    /// The worker's name among all workers; a restarted worker has another one.
    public var worker: WorkerID
    /// Name of the machine.
    public var host: String
    /// Units computed at once, each with one BLAS thread.
    public var lanes: Int
    /// Memory for units, in bytes.
    public var memoryBytes: UInt64
    /// How long to wait for the first answer of the coordinator.
    public var greetingLimit: Duration
    /// The program's version.
    public var build: String
    /// Where the worker keeps its blobs; no other worker may use the same directory.
    public var cacheDirectory: FilePath
    /// Most bytes of blobs there.
    public var cacheLimit: CacheLimit
    /// Whether the directory outlives the process, so that its blobs are to survive a power failure.
    public var keepsCache: Bool
    /// How long a worker that was told to stop waits for the coordinator to collect what it still wants.
    public var drainLimit: Duration
    /// Its key and the coordinator's; without them only a coordinator of this machine is talked to.
    public var keys: PeerKeys?
    /// Where files may be read; what lies elsewhere is streamed.
    public var roots = FileRoots.unlimited

    /// Collects how a worker runs.
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
