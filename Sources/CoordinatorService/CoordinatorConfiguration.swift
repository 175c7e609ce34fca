public import FileAccess
public import Keys
public import SystemPackage
public import ZeroMQ

/// How a coordinator runs.
public struct CoordinatorConfiguration: Sendable {
    /// Where it listens.
    public var endpoint: Endpoint
    /// Its state: the journal and the blobs.
    ///
    /// It survives restarts.
    public var stateDirectory: FilePath
    /// How often a worker gives a sign of life.
    public var heartbeatInterval: Duration
    /// A worker that was not heard for so long is lost.
    public var workerTimeout: Duration
    /// The program's version.
    public var build: String
    /// Its keys and those of its peers; without them only this machine reaches it.
    public var keys: CoordinatorKeys?
    /// Whether it may be started again with its state, and then goes on with its jobs.
    public var isLasting = true
    /// Where files may be read and outputs written.
    public var roots = FileRoots.unlimited

    /// Collects how a coordinator runs.
    public init(
        endpoint: Endpoint, stateDirectory: FilePath, heartbeatInterval: Duration, workerTimeout: Duration,
        build: String
    ) {
        self.endpoint = endpoint
        self.stateDirectory = stateDirectory
        self.heartbeatInterval = heartbeatInterval
        self.workerTimeout = workerTimeout
        self.build = build
    }
}
