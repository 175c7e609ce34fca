import Foundation
import TestSupport
import Testing

/// A coordinator and workers that a test may kill, with queries about their state.
final class Cluster {
    let directory: TemporaryDirectory
    private(set) var coordinator: RunningProgram
    private(set) var endpoint: String
    private(set) var workers: [RunningProgram] = []
    private var programs = 0

    /// A job in the output of `kfacctl status`.
    struct JobStatus {
        let state: String
        let finishedUnits: Int
        let totalUnits: Int
        let message: String
        let output: String
    }

    /// A worker in the output of `kfacctl workers`.
    struct WorkerStatus {
        let name: String
        let finishedUnits: Int
        let heldBlobs: Int
    }

    /// The silence after which a test expects the loss of a worker that it kills.
    static let shortTimeout = Duration.seconds(5)

    /// How often a body starts over when it missed the moment that it needs.
    private static let attemptsMax = 5

    /// Starts a coordinator and runs a body; if the body throws, the test's messages include the log of every daemon.
    ///
    /// A job may be faster than the test that wants to act in its middle. Then the body starts over.
    ///
    /// - Parameters:
    ///   - workerTimeout: The silence after which a worker is lost. By default only a dead worker is that silent.
    ///   - output: The output of the body's job. If it is given, and the body throws ``MissedMoment``, the output is
    ///     removed, and the body runs again on a new cluster.
    ///   - isLasting: Whether the coordinator does not end with its input, and keeps results for later jobs.
    ///   - options: More options of the coordinator.
    ///   - environment: More variables of the coordinator.
    ///   - launcher: The command that starts the coordinator.
    ///   - sourceLocation: The location for a failure's report.
    ///   - body: Receives the cluster.
    /// - Throws: what the body throws.
    static func with(
        workerTimeout: Duration = .seconds(15), startingOver output: String? = nil, isLasting: Bool = false,
        options: [String] = [],
        environment: [String: String] = [:], launcher: (TemporaryDirectory) -> [String] = { _ in [] },
        sourceLocation: SourceLocation = #_sourceLocation, _ body: (Cluster) async throws -> Void
    ) async throws {
        var attempt = 1
        while true {
            let cluster = try await Cluster(workerTimeout: workerTimeout, isLasting, options, environment, launcher)
            do {
                return try await body(cluster)
            } catch is MissedMoment where output != nil && attempt < attemptsMax {
                attempt += 1
            } catch {
                let logs = ([cluster.coordinator] + cluster.workers).map(\.logTail).joined(separator: "\n\n")
                Issue.record("attempt \(attempt): \(error)\n\(logs)", sourceLocation: sourceLocation)
                throw error
            }
            try await cluster.end()
            if let output { try? FileManager.default.removeItem(atPath: output) }
        }
    }

    /// Ends the daemons, so that none of them writes any more.
    private func end() async throws {
        for program in workers + [coordinator] {
            program.send(SIGKILL)
            _ = try await program.exitCode()
        }
    }

    private let isLasting: Bool
    private let options: [String]
    private let environment: [String: String]

    private init(
        workerTimeout: Duration, _ isLasting: Bool, _ options: [String], _ environment: [String: String],
        _ launcher: (TemporaryDirectory) -> [String]
    ) async throws {
        self.isLasting = isLasting
        self.environment = environment
        directory = try TemporaryDirectory()
        let heartbeat = min(workerTimeout / 5, .seconds(1))
        self.options =
            [("--heartbeat", heartbeat), ("--worker-timeout", workerTimeout)].flatMap { option, duration in
                [option, "\(Int(duration / .milliseconds(1)))"]
            } + options
        let (allOptions, place, command) = (self.options, self.directory, launcher(self.directory))
        (coordinator, endpoint) = try await QuietPort.with { port in
            try await CoordinatorProgram.start(
                "tcp://127.0.0.1:\(port)", allOptions, name: "coordinator-0", isLasting: isLasting,
                launcher: command, environment: environment, in: place)
        }
    }

    // MARK: - Daemons

    /// Kills the coordinator and starts it again on the same port and state, with more options if given.
    ///
    /// - Throws: ``WaitError`` when the coordinator does not get ready.
    func restartCoordinator(adding more: [String] = []) async throws {
        coordinator.send(SIGKILL)
        _ = try await coordinator.exitCode()
        programs += 1
        (coordinator, _) = try await CoordinatorProgram.start(
            endpoint, options + more, name: "coordinator-\(programs)", isLasting: isLasting, environment: environment,
            in: directory)
    }

    /// Starts a worker with one lane, through a launcher with its arguments if given.
    ///
    /// A worker that is told to leave has longer than a test waits, so a test sees whether it leaves by itself.
    ///
    /// - Throws: what Foundation throws when the worker cannot be started.
    @discardableResult
    func startWorker(
        _ name: String, memoryMiB: Int = 1024, launcher: [String] = [], options: [String] = [],
        environment: [String: String] = [:]
    ) throws -> RunningProgram {
        let command =
            launcher + [
                Programs.daemon, "worker", "--coordinator", endpoint, "--name", name, "--lanes", "1", "--memory",
                "\(memoryMiB)", "--end-with-input", "--drain-timeout", "3600",
            ] + options
        let worker = try RunningProgram(
            command[0], Array(command.dropFirst()), name: name, in: directory, environment: environment)
        workers.append(worker)
        return worker
    }

    /// Waits until this number of workers is connected.
    ///
    /// - Throws: ``WaitError`` when they do not connect in time.
    func waitForWorkers(_ count: Int) async throws {
        var last: [WorkerStatus] = []
        try await eventually("\(count) workers", finding: "\(last)") {
            last = try await self.workerStatuses()
            return last.count == count
        }
    }

    // MARK: - Questions

    /// Runs `kfacctl` against this coordinator.
    ///
    /// - Throws: ``WaitError`` when the command does not end in time.
    func client(_ arguments: String...) async throws -> CommandResult {
        try await Client.run(arguments, in: directory, environment: ["KFACD_COORDINATOR": endpoint])
    }

    /// Submits a job and returns its name.
    ///
    /// - Throws: what the requirement throws when the job is refused.
    func submit(_ path: String, _ options: String...) async throws -> String {
        let arguments = ["submit", path] + options
        let result = try await Client.run(arguments, in: directory, environment: ["KFACD_COORDINATOR": endpoint])
        try #require(result.exitCode == 0, "\(result.errors)")
        return result.output.trimmingCharacters(in: .whitespacesAndNewlines)
    }

    /// A job's state.
    ///
    /// - Throws: what the requirement throws when the coordinator's answer is not understood.
    func status(_ job: String) async throws -> JobStatus {
        let result = try await client("status", job, "--output", "json")
        try #require(result.exitCode == 0, "\(result.errors)")
        let jobs = try #require(try result.json["jobs"] as? [[String: Any]])
        let found = try #require(jobs.first)
        return JobStatus(
            state: try #require(found["state"] as? String),
            finishedUnits: try #require(found["finished_units"] as? Int),
            totalUnits: try #require(found["total_units"] as? Int), message: try #require(found["message"] as? String),
            output: try #require(found["output"] as? String))
    }

    /// The connected workers.
    ///
    /// - Throws: what the requirement throws when the coordinator's answer is not understood.
    func workerStatuses() async throws -> [WorkerStatus] {
        let result = try await client("workers", "--output", "json")
        try #require(result.exitCode == 0, "\(result.errors)")
        return try #require(try result.json["workers"] as? [[String: Any]]).map { worker in
            WorkerStatus(
                name: try #require(worker["worker"] as? String),
                finishedUnits: try #require(worker["finished_units"] as? Int),
                heldBlobs: try #require(worker["held_blobs"] as? Int))
        }
    }

    // MARK: - Jobs

    /// Lets the workers compute until part of a job is done, and leaves them stopped in the middle of the rest.
    ///
    /// So the job cannot end before the test goes on.
    ///
    /// The workers are stopped for every check. Between two checks they run for a quarter of their total time so far.
    /// So they do little more than needed, on slow and fast machines.
    ///
    /// - Throws: ``WaitError`` when the part is not done in time, ``MissedMoment`` when the job ends first.
    @discardableResult
    func holdWorkers(_ job: String, units: Int) async throws -> JobStatus {
        var last: JobStatus?
        // A worker needs longer than the first turn to start.
        var (turn, sum) = (Duration.milliseconds(100), Duration.zero)
        try await eventually("\(units) finished units of \(job)", finding: "\(last, default: "no answer")") {
            for worker in self.workers { try await worker.stop() }
            let status = try await self.status(job)
            last = status
            guard status.state == "running" else {
                throw MissedMoment(
                    description: "\(job) was over (\(status.state) \(status.message)) before its workers were held")
            }
            guard status.finishedUnits < units else { return true }
            self.resumeWorkers()
            try await Task.sleep(for: turn)
            sum += turn
            turn = max(turn, sum / 4)
            return false
        }
        return try #require(last)
    }

    /// Lets held workers continue.
    func resumeWorkers() {
        for worker in workers { worker.resume() }
    }

    /// Waits for a job's success.
    ///
    /// - Throws: ``WaitError`` when the job does not end, or what the requirement throws when it does not succeed.
    @discardableResult
    func waitForSuccess(_ job: String) async throws -> JobStatus {
        var last: JobStatus?
        try await eventually("the end of \(job)", finding: "\(last, default: "no answer")") {
            last = try await self.status(job)
            return last?.state != "running" && last?.state != "paused"
        }
        let status = try #require(last)
        try #require(status.state == "succeeded", "\(status.message)")
        return status
    }
}
