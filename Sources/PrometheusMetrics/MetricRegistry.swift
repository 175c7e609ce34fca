public import CoreMetrics
internal import Synchronization

/// The metrics of a daemon: swift-metrics writes them, and Prometheus reads them.
///
/// Only declared families are kept. Metrics that libraries count in addition are dropped.
/// Bound: ``seriesMax`` series of a family. Further series share the label value `other`.
public final class MetricRegistry: MetricsFactory, Sendable {
    /// The most series of one family.
    public static let seriesMax = 64

    /// Gives numbers when the metrics are requested.
    public typealias Collector = @Sendable () async -> [MetricSample]

    private struct State {
        var series: [String: [[String]: Series]] = [:]
        var collectors: [Collector] = []
    }

    private let families: [MetricFamily]
    private let state = Mutex(State())

    /// Declares the metrics; a family without labels begins at zero unless it is a gauge.
    public init(families: [MetricFamily]) {
        self.families = families
        for family in families where family.labels.isEmpty && family.kind != .gauge {
            _ = series(family.name, [])
        }
    }

    /// Adds a source of numbers that is read when the metrics are requested.
    public func collect(_ collector: @escaping Collector) {
        state.withLock { $0.collectors.append(collector) }
    }

    /// All metrics in Prometheus's text format 0.0.4.
    public func exposition() async -> String {
        let collectors = state.withLock { $0.collectors }
        var samples: [String: [[String]: Double]] = [:]
        for collector in collectors {
            for sample in await collector() { samples[sample.name, default: [:]][sample.labelValues] = sample.value }
        }
        let counted = state.withLock { $0.series }
        var text = ""
        for family in families {
            var values = (counted[family.name] ?? [:]).mapValues(\.value)
            for (labels, number) in samples[family.name] ?? [:] where labels.count == family.labels.count {
                values[labels] = Series.Value(number: number)
            }
            text += ExpositionText.family(family, values.sorted { $0.key.lexicographicallyPrecedes($1.key) })
        }
        return text
    }

    // MARK: - swift-metrics

    /// The series of a declared family, or `nil` for an undeclared one.
    private func series(_ name: String, _ dimensions: [(String, String)]) -> Series? {
        guard let family = families.first(where: { $0.name == name }),
            Set(dimensions.map(\.0)) == Set(family.labels), dimensions.count == family.labels.count
        else { return nil }
        let labels = family.labels.map { label in dimensions.first { $0.0 == label }?.1 ?? "" }
        return state.withLock { state in
            // Nearly every call finds its series, and a changed dictionary would be copied.
            if let known = state.series[name]?[labels] { return known }
            let isFull = state.series[name, default: [:]].count >= Self.seriesMax - 1 && !labels.isEmpty
            let key = isFull ? labels.map { _ in "other" } : labels
            let series = state.series[name]?[key] ?? Series(family.kind)
            state.series[name, default: [:]][key] = series
            return series
        }
    }

    /// The counter of this name and these label values.
    public func makeCounter(label: String, dimensions: [(String, String)]) -> any CounterHandler {
        series(label, dimensions) ?? NOOPMetricsHandler.instance
    }

    /// The counter of this name and these label values.
    public func makeFloatingPointCounter(
        label: String, dimensions: [(String, String)]
    ) -> any FloatingPointCounterHandler {
        series(label, dimensions) ?? NOOPMetricsHandler.instance
    }

    /// The gauge of this name and these label values.
    public func makeMeter(label: String, dimensions: [(String, String)]) -> any MeterHandler {
        series(label, dimensions) ?? NOOPMetricsHandler.instance
    }

    /// The histogram of this name and these label values; a gauge when the family is declared as one.
    public func makeRecorder(
        label: String, dimensions: [(String, String)], aggregate: Bool
    ) -> any RecorderHandler {
        series(label, dimensions) ?? NOOPMetricsHandler.instance
    }

    /// The histogram, in seconds, of this name and these label values.
    public func makeTimer(label: String, dimensions: [(String, String)]) -> any TimerHandler {
        series(label, dimensions) ?? NOOPMetricsHandler.instance
    }

    /// Does nothing: a series lives as long as the process.
    public func destroyCounter(_ handler: any CounterHandler) {}

    /// Does nothing: a series lives as long as the process.
    public func destroyFloatingPointCounter(_ handler: any FloatingPointCounterHandler) {}

    /// Does nothing: a series lives as long as the process.
    public func destroyMeter(_ handler: any MeterHandler) {}

    /// Does nothing: a series lives as long as the process.
    public func destroyRecorder(_ handler: any RecorderHandler) {}

    /// Does nothing: a series lives as long as the process.
    public func destroyTimer(_ handler: any TimerHandler) {}
}
