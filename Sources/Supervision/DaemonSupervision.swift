public import PrometheusMetrics
internal import Synchronization

/// What a daemon shows to its operator: health, readiness, metrics, a status line, tables and pictures.
///
/// The daemon's loops write. The service manager, probes and Prometheus read.
public final class DaemonSupervision: Sendable {
    /// The checks of loops and lanes.
    public let health = HealthMonitor()
    /// Whether the daemon can do its work.
    public let readiness = Readiness()
    /// The metrics.
    public let metrics: MetricRegistry

    private let statusSource = Mutex<@Sendable () async -> String>({ "starting" })
    private let sectionSource = Mutex<@Sendable () async -> [StatusSection]>({ [] })

    /// Starts empty.
    ///
    /// - Parameter families: The metrics that the daemon has.
    public init(families: [MetricFamily] = []) {
        metrics = MetricRegistry(families: families)
    }

    /// Sets the source of the status line.
    public func describe(by source: @escaping @Sendable () async -> String) {
        statusSource.withLock { $0 = source }
    }

    /// One line about the daemon's current activity.
    public var status: String {
        get async { await statusSource.withLock { $0 }() }
    }

    /// Sets the source of the tables and pictures.
    public func show(by source: @escaping @Sendable () async -> [StatusSection]) {
        sectionSource.withLock { $0 = source }
    }

    /// The tables and pictures; empty until a source is set.
    public var sections: [StatusSection] {
        get async { await sectionSource.withLock { $0 }() }
    }
}
