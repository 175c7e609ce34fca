public import CoreMetrics
internal import Synchronization

/// The metrics of a daemon: what swift-metrics counts into, and what Prometheus reads.
///
/// Only declared families are kept; what libraries count beside them goes nowhere.
/// Bound: ``seriesMax`` series of a family; further ones share the label value `other`.
public final class MetricRegistry: MetricsFactory, Sendable {
    /// Most series of one family.
    public static let seriesMax = 64

    /// Gives numbers that are looked up when the metrics are read.
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

    /// Adds numbers that are looked up when the metrics are read.
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

    /// A declared family's series, or `nil` for what nobody declared.
    private func series(_ name: String, _ dimensions: [(String, String)]) -> Series? {
        guard let family = families.first(where: { $0.name == name }),
            Set(dimensions.map(\.0)) == Set(family.labels), dimensions.count == family.labels.count
        else { return nil }
        let labels = family.labels.map { label in dimensions.first { $0.0 == label }?.1 ?? "" }
        return state.withLock { state in
            var all = state.series[name] ?? [:]
            let isFull = all[labels] == nil && all.count >= Self.seriesMax - 1 && !labels.isEmpty
            let key = isFull ? labels.map { _ in "other" } : labels
            let series = all[key] ?? Series(family.kind)
            all[key] = series
            state.series[name] = all
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

    /// The histogram of this name and these label values; a gauge when it is declared as one.
    public func makeRecorder(
        label: String, dimensions: [(String, String)], aggregate: Bool
    ) -> any RecorderHandler {
        series(label, dimensions) ?? NOOPMetricsHandler.instance
    }

    /// The histogram, in seconds, of this name and these label values.
    public func makeTimer(label: String, dimensions: [(String, String)]) -> any TimerHandler {
        series(label, dimensions) ?? NOOPMetricsHandler.instance
    }

    /// Nothing: a series lives as long as the process.
    public func destroyCounter(_ handler: any CounterHandler) {}

    /// Nothing: a series lives as long as the process.
    public func destroyFloatingPointCounter(_ handler: any FloatingPointCounterHandler) {}

    /// Nothing: a series lives as long as the process.
    public func destroyMeter(_ handler: any MeterHandler) {}

    /// Nothing: a series lives as long as the process.
    public func destroyRecorder(_ handler: any RecorderHandler) {}

    /// Nothing: a series lives as long as the process.
    public func destroyTimer(_ handler: any TimerHandler) {}
}
