public import FileAccess
public import Keys
public import PushedRuns
public import SystemPackage
public import ZeroMQ

/// The settings of a coordinator.
public struct CoordinatorConfiguration: Sendable {
    /// The endpoint to listen at.
    public var endpoint: Endpoint
    /// The directory of the journal and the blobs.
    ///
    /// It survives restarts.
    public var stateDirectory: FilePath
    /// The interval of a worker's heartbeats.
    public var heartbeatInterval: Duration
    /// The same for a worker without units: thousands may wait, and nothing but their silence matters.
    var idleHeartbeatInterval: Duration { max(heartbeatInterval, workerTimeout / 5) }
    /// The silence after which a worker is lost.
    public var workerTimeout: Duration
    /// The program's version.
    public var build: String
    /// The coordinator's keys and those of its peers; without them only this machine reaches it.
    public var keys: CoordinatorKeys?
    /// Whether a restarted coordinator may use the state and go on with its jobs.
    public var isLasting = true
    /// Where files may be read and outputs written.
    public var roots = FileRoots.unlimited

    /// The directory of the runs that clients push; by default one in the state directory.
    public var runDirectory: FilePath
    /// The most bytes of all runs.
    public var runQuota = RunQuota.share
    /// The time without a sign of life after which a run is removed; `nil` for never.
    public var runExpiry: Duration? = .seconds(7 * 86_400)

    /// Collects the settings of a coordinator.
    public init(
        endpoint: Endpoint, stateDirectory: FilePath, heartbeatInterval: Duration, workerTimeout: Duration,
        build: String
    ) {
        self.endpoint = endpoint
        self.stateDirectory = stateDirectory
        runDirectory = stateDirectory.appending("runs")
        self.heartbeatInterval = heartbeatInterval
        self.workerTimeout = workerTimeout
        self.build = build
    }
}
