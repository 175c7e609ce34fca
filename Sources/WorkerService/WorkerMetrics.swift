import CoreMetrics
import JobPlan
public import PrometheusMetrics
import WireProtocol

/// What a worker counts.
public struct WorkerMetrics: Sendable {
    /// The metrics of a worker.
    public static let families: [MetricFamily] = [
        MetricFamily("kfacd_ready", help: "1 while the coordinator knows the worker and it takes units.", kind: .gauge),
        MetricFamily(
            "kfacd_lanes", help: "Lanes by what they do; waiting is for bytes of another machine.", kind: .gauge,
            labels: ["state"]),
        MetricFamily("kfacd_queued_units", help: "Units that wait for a lane.", kind: .gauge),
        MetricFamily(
            "kfacd_unit_duration_seconds", help: "Time from a unit's beginning to its result.",
            kind: .histogram(buckets: MetricFamily.durationBuckets), labels: ["stage"]),
        MetricFamily(
            "kfacd_unit_failures_total", help: "Units that could not be computed, by what is to blame.",
            kind: .counter, labels: ["kind"]),
        MetricFamily(
            "kfacd_blas_seconds_total", help: "Time in numeric kernels.", kind: .counter, labels: ["stage"]),
        MetricFamily(
            "kfacd_cholesky_retries_total", help: "Factorizations that were tried again with more damping.",
            kind: .counter),
        MetricFamily(
            "kfacd_nonfinite_rejected_total", help: "Units refused because their input holds NaN or infinity.",
            kind: .counter),
    ]

    private let factory: any MetricsFactory

    init(factory: any MetricsFactory) {
        self.factory = factory
    }

    /// Counts what became of a unit.
    func note(_ outcome: UnitOutcome, _ stage: UnitStage, elapsed: Duration, kernels: Duration) {
        switch outcome {
        case .computed(let result):
            noteFinished(stage, elapsed: elapsed, kernels: kernels, measurements: result.measurements)
        case .failed(let fault, _):
            Counter(label: "kfacd_unit_failures_total", dimensions: [("kind", fault.rawValue)], factory: factory)
                .increment()
        case .cancelled: break
        }
    }

    /// Counts a unit whose input is not finite.
    func noteNonFinite() {
        Counter(label: "kfacd_nonfinite_rejected_total", factory: factory).increment()
    }

    private func noteFinished(
        _ stage: UnitStage, elapsed: Duration, kernels: Duration, measurements: [MeasurementName: [Double]]
    ) {
        let dimensions = [("stage", stage.rawValue)]
        Recorder(label: "kfacd_unit_duration_seconds", dimensions: dimensions, factory: factory)
            .record(elapsed / .seconds(1))
        FloatingPointCounter(label: "kfacd_blas_seconds_total", dimensions: dimensions, factory: factory)
            .increment(by: kernels / .seconds(1))
        let retries = (measurements[.attempts] ?? []).reduce(0) { $0 + max(0, $1 - 1) }
        FloatingPointCounter(label: "kfacd_cholesky_retries_total", factory: factory).increment(by: retries)
    }
}
