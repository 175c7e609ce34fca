import Identifiers
import Scheduling

/// Measures the scheduler's time for each event, by the size of the job and of the cluster, and a restart.
struct SchedulingStage {
    private static let kinds = ["joined", "started", "progressed", "heard", "finished", "stored", "deadline"]
    /// The numbers of units and of workers; each is measured with each.
    let units: [Int]
    let workers: [Int]

    /// The sizes for the figures in the documents, or small ones that show whether everything runs.
    init(small: Bool) {
        (units, workers) = small ? ([1000], [10]) : ([1000, 10_000, 100_000], [10, 100, 1000])
    }

    func measure() throws {
        print("\nscheduling, one thread: processor time of an event in microseconds, mean and largest")
        for count in units {
            let start = SimulatedCluster.processorTime
            let job = try LayeredJob(units: count)
            print("  \(job.plan.units.count) units, planned in \(fixed(SimulatedCluster.processorTime - start)) s")
            for workers in workers { measure(job, workers: workers) }
        }
    }

    private func measure(_ job: LayeredJob, workers: Int) {
        var cluster = SimulatedCluster(workers: workers, job)
        cluster.run()
        let kinds = Self.kinds.compactMap { kind in
            cluster.tallies[kind].map { "\(kind) \(fixed($0.mean, 1)) (\(fixed($0.largest, 0)))" }
        }
        let submission = fixed((cluster.tallies["submitted"]?.sum ?? 0) / 1000, 1)
        let start = SimulatedCluster.processorTime
        var fresh = Scheduler()
        for record in cluster.records { fresh.apply(record, plan: job.plan) }
        _ = fresh.handle(.restarted(stored: []), at: SchedulerInstant(sinceStart: .zero))
        let replay = SimulatedCluster.processorTime - start
        let status = cluster.scheduler.status(of: job.header.id)
        let end = cluster.isCut ? ", cut after \(status?.finishedUnits ?? 0) units" : ""
        print("    \(workers) workers: \(fixed(cluster.mean, 1)) a mean event; \(kinds.joined(separator: ", "))")
        print("      submission \(submission) ms, replay of \(cluster.records.count) records \(fixed(replay)) s\(end)")
    }
}
