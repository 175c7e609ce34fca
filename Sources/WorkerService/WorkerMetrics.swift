import CoreMetrics
import Identifiers
public import PrometheusMetrics
import UnitOperations

/// The counts of a worker.
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
            "kfacd_unit_failures_total", help: "Units that could not be computed, by cause.",
            kind: .counter, labels: ["kind"]),
        MetricFamily(
            "kfacd_blas_seconds_total", help: "Time of units in numeric kernels, by what they do.", kind: .counter,
            labels: ["op"]),
        MetricFamily(
            "kfacd_factor_backend_info", help: "Always 1; the labels tell what computes factors.", kind: .gauge,
            labels: ["backend", "kernels", "elements"]),
        MetricFamily(
            "kfacd_cholesky_retries_total", help: "Factorizations that were tried again with more damping.",
            kind: .counter),
        MetricFamily(
            "kfacd_damping_applied_ratio",
            help: "Final damping of an inverted matrix, as a multiple of the requested one.",
            kind: .histogram(buckets: dampingBuckets)),
        MetricFamily(
            "kfacd_nonfinite_rejected_total",
            help: "Units and sums of streamed rows refused because their input holds NaN or infinity.", kind: .counter),
        MetricFamily("kfacd_row_sums", help: "Open sums of streamed rows.", kind: .gauge),
        MetricFamily("kfacd_rows_total", help: "Streamed rows taken.", kind: .counter),
        MetricFamily("kfacd_row_bytes_total", help: "Bytes of streamed rows taken, as they came.", kind: .counter),
        MetricFamily(
            "kfacd_row_kernel_seconds_total", help: "Time in numeric kernels that sum streamed rows.", kind: .counter),
    ]

    /// The damping ratio is 1 when the requested damping sufficed.
    ///
    /// It grows tenfold at a time, from a small damping with a larger first step.
    private static let dampingBuckets: [Double] = [1, 10, 100, 1000, 10_000, 100_000, 1_000_000]

    private let factory: any MetricsFactory

    init(factory: any MetricsFactory, backend: any FactorBackend) {
        self.factory = factory
        let regime = backend.regime
        Meter(
            label: "kfacd_factor_backend_info",
            dimensions: [("backend", backend.name), ("kernels", regime.kernels), ("elements", regime.elements)],
            factory: factory
        ).set(1)
        // The series start at zero, because a rise shows only in a series that existed before.
        for kind in UnitFailure.Kind.reported { failures(kind).increment(by: 0) }
        for kernel in NumericKernel.allCases { note(kernel, .zero) }
        noteRows(0, byteCount: 0, kernels: KernelNotes())
        noteRowSums(0)
    }

    /// Counts the outcome of a unit.
    func note(_ outcome: UnitOutcome, _ stage: UnitStage, elapsed: Duration, kernels: KernelNotes) {
        switch outcome {
        case .computed(let result):
            noteFinished(stage, elapsed: elapsed, kernels: kernels, measurements: result.measurements)
        case .failed(let failure): failures(failure.kind).increment()
        case .cancelled: break
        }
    }

    /// Counts rows of a stream, as they came, and the time to add them to their sum.
    func noteRows(_ count: Int, byteCount: Int, kernels: KernelNotes) {
        Counter(label: "kfacd_rows_total", factory: factory).increment(by: count)
        Counter(label: "kfacd_row_bytes_total", factory: factory).increment(by: byteCount)
        FloatingPointCounter(label: "kfacd_row_kernel_seconds_total", factory: factory)
            .increment(by: kernels.time / .seconds(1))
    }

    /// Shows the number of open sums of rows.
    func noteRowSums(_ count: Int) {
        Meter(label: "kfacd_row_sums", factory: factory).set(count)
    }

    /// Counts a unit, or a sum of rows, whose input is not finite.
    func noteNonFinite() {
        Counter(label: "kfacd_nonfinite_rejected_total", factory: factory).increment()
    }

    private func noteFinished(
        _ stage: UnitStage, elapsed: Duration, kernels: KernelNotes, measurements: [MeasurementName: [Double]]
    ) {
        Recorder(
            label: "kfacd_unit_duration_seconds", dimensions: [("stage", stage.rawValue)], factory: factory
        ).record(elapsed / .seconds(1))
        for (kernel, time) in kernels.times { note(kernel, time) }
        let damping = Recorder(label: "kfacd_damping_applied_ratio", factory: factory)
        for ratio in kernels.dampingRatios { damping.record(ratio) }
        let retries = (measurements[.attempts] ?? []).reduce(0) { $0 + max(0, $1 - 1) }
        FloatingPointCounter(label: "kfacd_cholesky_retries_total", factory: factory).increment(by: retries)
    }

    private func failures(_ kind: UnitFailure.Kind) -> Counter {
        Counter(label: "kfacd_unit_failures_total", dimensions: [("kind", kind.word)], factory: factory)
    }

    private func note(_ kernel: NumericKernel, _ time: Duration) {
        FloatingPointCounter(label: "kfacd_blas_seconds_total", dimensions: [("op", kernel.rawValue)], factory: factory)
            .increment(by: time / .seconds(1))
    }
}
