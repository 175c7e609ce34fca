import Admission
import Foundation
import Identifiers
import JobPlan
import Messaging
import PrometheusMetrics
import PushedRuns
import Scheduling
import Supervision
import SystemPackage
import UnitOperations
import WireProtocol

/// What a coordinator shows to its operator.
extension Coordinator {
    /// The most jobs that the metrics name, and the most that the status page shows.
    ///
    /// The metrics name the running jobs that were submitted first, and those that succeeded last.
    static let jobsShownMax = 50
    /// The name under which the units of further jobs are counted.
    private static let otherJobs = "other"

    /// Sets the sources for the jobs, the workers and the socket.
    nonisolated func show() {
        let supervision = supervision
        supervision.metrics.collect { await self.samples }
        supervision.describe {
            // This does not ask the coordinator's state, which answers only now and then while it reads its journal.
            if let reason = supervision.readiness.reason { return reason }
            return await self.statusLine
        }
        supervision.show {
            guard supervision.readiness.hasBeenSet else { return [] }
            return await self.overview
        }
    }

    /// The kind of the unit that an event is about.
    func stage(of event: SchedulerEvent) -> UnitStage? {
        guard case .unitFinished(let leased, _, _, _) = event, let plan = jobs[leased.unit.job]?.plan,
            plan.units.indices.contains(leased.unit.unit.position)
        else { return nil }
        return plan.units[leased.unit.unit.position].stage
    }

    /// The samples behind the unit of an event, when it was computed from captures.
    func sampleShare(of event: SchedulerEvent) -> SampleShare? {
        guard case .unitFinished(let leased, _, _, _) = event else { return nil }
        return jobs[leased.unit.job]?.sampleShares[leased.unit.unit]
    }

    private var samples: [MetricSample] {
        let workers = scheduler.workerStatuses
        let draining = workers.count(where: \.isDraining)
        let busy = workers.count { !$0.isDraining && $0.leasedUnits > 0 }
        var samples = [
            MetricSample("kfacd_ready", [], supervision.readiness.reason == nil ? 1 : 0),
            MetricSample("kfacd_workers", ["busy"], busy),
            MetricSample("kfacd_workers", ["draining"], draining),
            MetricSample("kfacd_workers", ["idle"], workers.count - busy - draining),
            MetricSample("kfacd_lanes", [], workers.reduce(0) { $0 + $1.capacity.lanes }),
        ]
        var states = ["running": 0, "succeeded": 0, "failed": 0, "cancelled": 0]
        let statuses = settled.all
        for status in statuses { states[Self.state(of: status), default: 0] += 1 }
        samples += states.map { MetricSample("kfacd_jobs", [$0.key], $0.value) }
        let shown = statuses.filter { $0.outcome == nil }.prefix(Self.jobsShownMax)
        samples += shown.map { MetricSample("kfacd_job_progress_ratio", [$0.id.rawValue], $0.fraction) }
        samples += history.successes.map {
            MetricSample("kfacd_last_success_timestamp_seconds", [$0.job.rawValue], $0.at)
        }
        samples += unitSamples(of: Set(shown.map(\.id)))
        let factorBytes = scheduler.factorBytes
        samples += FactorSide.allCases.map { side in
            MetricSample("kfacd_factor_bytes", [side.rawValue], factorBytes[side] ?? 0)
        }
        let pushed = runs.summaries(at: 0)
        samples += [
            MetricSample("kfacd_runs", [], pushed.count),
            MetricSample("kfacd_run_files", [], pushed.reduce(0) { $0 + $1.wholeCount }),
            MetricSample("kfacd_run_bytes", [], pushed.reduce(0) { $0 + $1.arrivedBytes }),
        ]
        let system = try? FileManager.default.attributesOfFileSystem(
            forPath: configuration.stateDirectory.string)
        if let free = system?[.systemFreeSize] as? NSNumber {
            samples.append(MetricSample("kfacd_state_free_bytes", [], free.uint64Value))
        }
        return samples
            + NetworkMetrics.samples(
                router: endpoint.statistics, unsendable: endpoint.unsendableMessages)
    }

    private func unitSamples(of shown: Set<JobID>) -> [MetricSample] {
        var counts: [[String]: Int] = [:]
        for (group, count) in scheduler.unitCounts {
            let job = shown.contains(group.job) ? group.job.rawValue : Self.otherJobs
            counts[[job, group.stage.rawValue, group.place.rawValue], default: 0] += count
        }
        return counts.map { MetricSample("kfacd_units", $0.key, $0.value) }
    }

    private static func state(of status: Scheduler.JobStatus) -> String {
        switch status.outcome {
        case nil: "running"
        case .succeeded: "succeeded"
        case .failed: "failed"
        case .cancelled: "cancelled"
        }
    }

    /// One line about the current work: the job submitted first, the number of others, and the workers.
    private var statusLine: String {
        let workers = scheduler.workerStatuses.count
        let unheard = endpoint.recentUnheardConnections
        let strangers = unheard > 0 ? ", \(unheard) connections ended unheard in the last minute" : ""
        let crew = "\(workers) worker\(workers == 1 ? "" : "s")\(strangers)"
        let running = settled.running
        guard let first = running.first else { return "no job, \(crew)" }
        let others = running.count > 1 ? " and \(running.count - 1) more" : ""
        let percent = Int((first.fraction * 100).rounded(.down))
        return "\(first.id): \(first.finishedUnits)/\(first.totalUnits) units, \(percent) %\(others), \(crew)"
    }
}
