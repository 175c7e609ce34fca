import CoreMetrics
internal import Synchronization

/// One series: the numbers of a family for one set of label values; swift-metrics writes to it.
final class Series: CounterHandler, FloatingPointCounterHandler, MeterHandler, RecorderHandler, TimerHandler {
    /// The numbers at one moment.
    struct Value: Equatable {
        /// A counter's or gauge's number, or the sum of a histogram's observations.
        var number = 0.0
        /// The observations up to each bound; they are cumulated when written.
        ///
        /// The last count is of those above all bounds.
        var counts: [UInt64] = []
    }

    private let bounds: [Double]
    private let state: Mutex<Value>

    init(_ kind: MetricFamily.Kind) {
        if case .histogram(let buckets) = kind {
            bounds = buckets
            state = Mutex(Value(counts: Array(repeating: 0, count: buckets.count + 1)))
        } else {
            bounds = []
            state = Mutex(Value())
        }
    }

    var value: Value { state.withLock { $0 } }

    // MARK: - Counters

    func increment(by amount: Int64) { increment(by: Double(amount)) }

    /// Adds a finite amount; other amounts are ignored, because nothing could repair the sum.
    func increment(by amount: Double) {
        guard amount.isFinite else { return }
        state.withLock { $0.number += amount }
    }

    func decrement(by amount: Double) { increment(by: -amount) }

    func reset() { state.withLock { $0.number = 0 } }

    // MARK: - Gauges

    func set(_ value: Int64) { set(Double(value)) }

    func set(_ value: Double) { state.withLock { $0.number = value } }

    // MARK: - Histograms

    func record(_ value: Int64) { record(Double(value)) }

    func record(_ value: Double) {
        guard value.isFinite else { return }
        let bucket = bounds.firstIndex { value <= $0 } ?? bounds.count
        state.withLock { state in
            guard state.counts.indices.contains(bucket) else {
                state.number = value
                return
            }
            state.counts[bucket] += 1
            state.number += value
        }
    }

    func recordNanoseconds(_ duration: Int64) { record(Double(duration) / 1e9) }
}
