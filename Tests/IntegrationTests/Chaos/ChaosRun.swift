import Foundation
import TestSupport
import Testing

/// One job on one cluster with scheduled disturbances, and the checks that must hold afterwards.
final class ChaosRun {
    /// The number of disturbances after which the cluster is left alone.
    private static let disturbancesMax = 10

    /// The act that ends a disturbance.
    private enum Repair {
        case start(SupervisedDaemon)
        case resume(SupervisedDaemon)
        case join(host: Int)
    }

    private let cluster: SupervisedCluster
    private let jobFile: String
    private var schedule: ChaosSchedule
    private var repairs: [(due: ContinuousClock.Instant, repair: Repair)] = []
    private var counts = ChaosCounts()
    private let start = ContinuousClock.now
    /// The acts with their times, for the message of a failure.
    private(set) var history: [String] = []
    private var unitsBeforeKill: [String: Int] = [:]

    init(_ cluster: SupervisedCluster, jobFile: String, schedule: ChaosSchedule) {
        (self.cluster, self.jobFile, self.schedule) = (cluster, jobFile, schedule)
    }

    /// Submits the job, starts the workers, disturbs the cluster, and requires that the job succeeds.
    ///
    /// - Returns: The disturbances. There are none when the workers were faster than the first one.
    /// - Throws: ``WaitError`` and requirements.
    func run() async throws -> ChaosCounts {
        if let line = cluster.lines.last {
            let fault = schedule.nextCut()
            note("before the submission: \(fault)")
            line.suffer(fault)
        }
        let job = try await submit()
        let watch = try cluster.disturbedClient(["watch", job, "--timeout", "30"], name: "watch")
        // The workers start late, because a submission whose answer is lost takes seconds, in which the job could end.
        try cluster.startWorkers()
        try await disturb(while: watch)
        try await repairAll()
        let code = try await watch.exitCode()
        try #require(code == 0, "\(watch.logTail)")
        counts.runs = 1
        counts.cuts = cluster.lines.reduce(0) { $0 + $1.cutConnections }
        try await requireOneJob(job)
        try requireKeptProgress()
        return counts
    }

    private func note(_ text: String) {
        let seconds = (ContinuousClock.now - start) / .seconds(1)
        history.append("\((seconds * 1000).rounded() / 1000) s: \(text)")
    }

    // MARK: - Disturbing

    private func disturb(while watch: RunningProgram) async throws {
        for _ in 0..<Self.disturbancesMax {
            let (pause, disturbance) = schedule.next()
            try await repair(until: .now + pause)
            guard watch.isRunning else { return }
            try await perform(disturbance)
        }
        while let last = repairs.map(\.due).max() { try await repair(until: last) }
    }

    private func perform(_ disturbance: Disturbance) async throws {
        note("\(disturbance)")
        switch disturbance {
        case .kill(let number, let duration):
            let daemon = cluster.daemons[number]
            guard daemon.isUp else { return }
            if number == 0, !daemon.isStopped { await noteProgress(of: daemon) }
            try await daemon.kill()
            counts.kills += 1
            repairs.append((.now + duration, .start(daemon)))
        case .stop(let number, let duration):
            let daemon = cluster.daemons[number]
            guard daemon.isUp, !daemon.isStopped else { return }
            daemon.stop()
            counts.stops += 1
            repairs.append((.now + duration, .resume(daemon)))
        case .fault(let line, let fault):
            cluster.lines[line].suffer(fault)
            counts.faults += 1
        case .isolate(let host, let duration):
            try cluster.hosts?.cut(host)
            counts.partitions += 1
            repairs.append((.now + duration, .join(host: host)))
        }
    }

    /// Sleeps, and makes the repairs that are due meanwhile.
    private func repair(until end: ContinuousClock.Instant) async throws {
        while true {
            let due = repairs.map(\.due).min() ?? end
            try await Task.sleep(until: min(due, end))
            guard due <= end, let index = repairs.firstIndex(where: { $0.due == due }) else { return }
            try perform(repairs.remove(at: index).repair)
        }
    }

    private func repairAll() async throws {
        for line in cluster.lines { line.heal() }
        for (_, repair) in repairs { try perform(repair) }
        repairs.removeAll()
    }

    private func perform(_ repair: Repair) throws {
        switch repair {
        case .start(let daemon):
            note("start \(daemon.name)")
            try daemon.start()
        case .resume(let daemon):
            guard daemon.isStopped else { return }
            note("resume \(daemon.name)")
            daemon.resume()
        case .join(let host):
            note("join host \(host)")
            try cluster.hosts?.join(host)
        }
    }

    // MARK: - Questions

    /// Submits the job as a user would: again when there is no answer.
    private func submit() async throws -> String {
        for _ in 0..<10 {
            let client = try cluster.disturbedClient(
                ["submit", jobFile, "--timeout", "10"], name: "submit-\(UUID().uuidString)")
            switch try await client.exitCode() {
            case 0: return client.output.trimmingCharacters(in: .whitespacesAndNewlines)
            case 3: continue
            default: throw WaitError(description: client.logTail)
            }
        }
        throw WaitError(description: "ten submissions were not answered")
    }

    /// Notes how many units the coordinator reported as finished; these must stay finished.
    private func noteProgress(of coordinator: SupervisedDaemon) async {
        guard let result = try? await cluster.client("jobs", "--output", "json", "--timeout", "5"),
            let jobs = try? result.json["jobs"] as? [[String: Any]],
            let finished = jobs.first?["finished_units"] as? Int, let name = coordinator.programs.last?.name
        else { return }
        note("\(finished) units are finished")
        unitsBeforeKill[name] = finished
    }

    // MARK: - What must hold

    /// Checks that the coordinator knows one job, and that it succeeded, also after another restart.
    private func requireOneJob(_ job: String) async throws {
        let coordinator = cluster.daemons[0]
        for isRestarted in [false, true] {
            var result = try await cluster.client("jobs", "--output", "json")
            for _ in 0..<5 where result.exitCode == 3 { result = try await cluster.client("jobs", "--output", "json") }
            try #require(result.exitCode == 0, "\(result.errors)")
            let jobs = try #require(try result.json["jobs"] as? [[String: Any]])
            try #require(jobs.compactMap { $0["job"] as? String } == [job])
            try #require(jobs.compactMap { $0["state"] as? String } == ["succeeded"])
            guard !isRestarted else { return }
            try await coordinator.kill()
            try coordinator.start()
        }
    }

    /// Checks that units which were finished before a kill of the coordinator are finished after its restart.
    private func requireKeptProgress() throws {
        var finished = 0
        for program in cluster.daemons[0].programs {
            if let resumed = Self.resumedUnits(program.errors) {
                try #require(resumed >= finished, "\(program.name) took up \(resumed) units of \(finished)")
            }
            finished = max(finished, unitsBeforeKill[program.name] ?? 0)
        }
    }

    private static func resumedUnits(_ log: String) -> Int? {
        guard let line = log.split(separator: "\n").first(where: { $0.contains("job resumed") }),
            let field = line.split(separator: " ").first(where: { $0.hasPrefix("finished_units=") })
        else { return nil }
        return Int(field.dropFirst("finished_units=".count))
    }
}
