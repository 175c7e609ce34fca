import CoreMetrics
import Identifiers
import JobPlan
public import PrometheusMetrics
import Scheduling
import UnitOperations
import WireProtocol

/// The counts of a coordinator.
public struct CoordinatorMetrics: Sendable {
    /// The metrics of a coordinator.
    public static let families: [MetricFamily] = [
        MetricFamily("kfacd_ready", help: "1 while the coordinator takes jobs.", kind: .gauge),
        MetricFamily(
            "kfacd_workers", help: "Connected workers: leaving, with a unit, or without one.", kind: .gauge,
            labels: ["state"]),
        MetricFamily("kfacd_lanes", help: "Lanes of all workers together.", kind: .gauge),
        MetricFamily("kfacd_jobs", help: "Jobs that the coordinator knows, by state.", kind: .gauge, labels: ["state"]),
        MetricFamily(
            "kfacd_units", help: "Units of the jobs that run.", kind: .gauge, labels: ["job", "stage", "state"]),
        MetricFamily(
            "kfacd_job_progress_ratio", help: "Share of the planned cost of a running job that is done.",
            kind: .gauge, labels: ["job"]),
        MetricFamily(
            "kfacd_factor_bytes", help: "Bytes of the running jobs' factors that are there, by side.", kind: .gauge,
            labels: ["kind"]),
        MetricFamily(
            "kfacd_examples_processed_total",
            help: "Samples of captures that factors were computed from; each factor has an equal share of its task's.",
            kind: .counter, labels: ["task"]),
        MetricFamily(
            "kfacd_unit_duration_seconds", help: "Time from a unit's beginning to its result, wherever computed.",
            kind: .histogram(buckets: MetricFamily.durationBuckets), labels: ["stage"]),
        MetricFamily(
            "kfacd_unit_failures_total", help: "Failures of units, by cause.",
            kind: .counter, labels: ["kind"]),
        MetricFamily(
            "kfacd_lease_expirations_total", help: "Leases taken back because a worker showed no progress in time.",
            kind: .counter),
        MetricFamily(
            "kfacd_units_revived_total", help: "Finished units computed again because their blobs were lost.",
            kind: .counter),
        MetricFamily("kfacd_workers_lost_total", help: "Workers that were not heard any more.", kind: .counter),
        MetricFamily(
            "kfacd_result_mismatches_total", help: "Results that differ from an earlier one of the same unit.",
            kind: .counter),
        MetricFamily(
            "kfacd_refused_words_total",
            help: "Impossible messages of workers, by subject: a unit, blob, range, result or name.",
            kind: .counter, labels: ["about"]),
        MetricFamily("kfacd_runs", help: "Runs that clients pushed.", kind: .gauge),
        MetricFamily("kfacd_run_files", help: "Whole files of the pushed runs.", kind: .gauge),
        MetricFamily("kfacd_run_bytes", help: "Bytes of the pushed runs that have arrived.", kind: .gauge),
        MetricFamily(
            "kfacd_relayed_row_bytes_total", help: "Bytes of rows of clients that workers have taken.", kind: .counter),
        MetricFamily(
            "kfacd_pushes_refused_total", help: "Refused pushes, by kind: bad_input, busy or world.", kind: .counter,
            labels: ["kind"]),
        MetricFamily(
            "kfacd_last_success_timestamp_seconds", help: "Time when a job succeeded, for the latest ones.",
            kind: .gauge, labels: ["job"]),
        MetricFamily(
            "kfacd_state_free_bytes", help: "Free bytes in the file system of the state directory.", kind: .gauge),
    ]

    private let factory: any MetricsFactory

    init(factory: any MetricsFactory) {
        self.factory = factory
        // The series start at zero, because a rise shows only in a series that existed before.
        for kind in UnitFailure.Kind.allCases { failures(kind).increment(by: 0) }
        for word in RefusedWord.allCases { refusals(word).increment(by: 0) }
        for kind in [RequestFailure.Kind.badInput, .busy, .world] { pushRefusals(kind).increment(by: 0) }
    }

    /// Counts a refused message of a worker.
    func note(_ word: RefusedWord) { refusals(word).increment() }

    /// Counts bytes of rows that workers have taken.
    func noteRows(_ byteCount: UInt64) {
        Counter(label: "kfacd_relayed_row_bytes_total", factory: factory).increment(by: byteCount)
    }

    /// Counts a refused push.
    func notePushRefusal(_ kind: RequestFailure.Kind) { pushRefusals(kind).increment() }

    private func pushRefusals(_ kind: RequestFailure.Kind) -> Counter {
        Counter(label: "kfacd_pushes_refused_total", dimensions: [("kind", kind.rawValue)], factory: factory)
    }

    private func refusals(_ word: RefusedWord) -> Counter {
        Counter(label: "kfacd_refused_words_total", dimensions: [("about", word.rawValue)], factory: factory)
    }

    /// Counts an event of a unit; a unit that was computed twice counts twice.
    func note(_ event: SchedulerEvent, stage: UnitStage?, share: SampleShare?) {
        switch event {
        case .unitFinished(_, _, _, let timing):
            guard let stage else { return }
            Recorder(
                label: "kfacd_unit_duration_seconds", dimensions: [("stage", stage.rawValue)], factory: factory
            ).record(timing.elapsedSeconds)
            guard let share else { return }
            FloatingPointCounter(
                label: "kfacd_examples_processed_total", dimensions: [("task", share.task.rawValue)], factory: factory
            ).increment(by: share.samples)
        case .unitFailed(_, _, let failure): failures(failure.kind).increment()
        default: break
        }
    }

    /// Counts a notice of the scheduler.
    func note(_ notice: SchedulerNotice) {
        switch notice {
        case .workerLost(_, _, let units):
            Counter(label: "kfacd_workers_lost_total", factory: factory).increment()
            failures(.workerLost).increment(by: units)
        case .leaseExpired:
            Counter(label: "kfacd_lease_expirations_total", factory: factory).increment()
        case .unitRevived: Counter(label: "kfacd_units_revived_total", factory: factory).increment()
        case .resultsDiffer: Counter(label: "kfacd_result_mismatches_total", factory: factory).increment()
        default: break
        }
    }

    private func failures(_ kind: UnitFailure.Kind) -> Counter {
        Counter(label: "kfacd_unit_failures_total", dimensions: [("kind", kind.word)], factory: factory)
    }
}
