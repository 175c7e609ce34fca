public import Identifiers
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

    /// Collects how a worker runs.
    public init(
        coordinator: Endpoint, worker: WorkerID, host: String, lanes: Int, memoryBytes: UInt64,
        greetingLimit: Duration, build: String
    ) {
        self.coordinator = coordinator
        self.worker = worker
        self.host = host
        self.lanes = lanes
        self.memoryBytes = memoryBytes
        self.greetingLimit = greetingLimit
        self.build = build
    }
}
