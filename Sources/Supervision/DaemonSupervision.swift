public import PrometheusMetrics
internal import Synchronization

/// What a daemon shows to whoever runs it: its health, its readiness, its metrics, a line and
/// tables on what it does.
///
/// The daemon's loops write; the service manager, probes and Prometheus read.
public final class DaemonSupervision: Sendable {
    /// What must turn and progress.
    public let health = HealthMonitor()
    /// Whether the daemon can do its work.
    public let readiness = Readiness()
    /// What is counted.
    public let metrics: MetricRegistry

    private let statusSource = Mutex<@Sendable () async -> String>({ "starting" })
    private let tableSource = Mutex<@Sendable () async -> [StatusTable]>({ [] })

    /// Begins to watch.
    ///
    /// - Parameter families: The metrics that the daemon has.
    public init(families: [MetricFamily] = []) {
        metrics = MetricRegistry(families: families)
    }

    /// Says where the line on what the daemon does comes from.
    public func describe(by source: @escaping @Sendable () async -> String) {
        statusSource.withLock { $0 = source }
    }

    /// One line on what the daemon does.
    public var status: String {
        get async { await statusSource.withLock { $0 }() }
    }

    /// Says where the tables come from.
    public func tabulate(by source: @escaping @Sendable () async -> [StatusTable]) {
        tableSource.withLock { $0 = source }
    }

    /// What the daemon does and has, in tables; none before somebody says where they come from.
    public var tables: [StatusTable] {
        get async { await tableSource.withLock { $0 }() }
    }
}
