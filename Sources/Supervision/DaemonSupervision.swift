public import PrometheusMetrics
internal import Synchronization

/// What a daemon shows to whoever runs it: its health, its readiness, its metrics, a line, tables and
/// pictures on what it does.
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
    private let sectionSource = Mutex<@Sendable () async -> [StatusSection]>({ [] })

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

    /// Says where the tables and pictures come from.
    public func show(by source: @escaping @Sendable () async -> [StatusSection]) {
        sectionSource.withLock { $0 = source }
    }

    /// What the daemon does and has; nothing before somebody says where it comes from.
    public var sections: [StatusSection] {
        get async { await sectionSource.withLock { $0 }() }
    }
}
