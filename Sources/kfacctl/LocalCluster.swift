import Console
import FileAccess
import Foundation
import Identifiers
import Publication
import Synchronization
import SystemPackage
import WireProtocol

/// A coordinator and workers on this machine; they are the programs of a cluster, connected over loopback.
final class LocalCluster: Sendable {
    /// The settings of the cluster.
    struct Settings: Sendable {
        /// The number of workers.
        var workerCount: Int
        /// The lanes of each worker.
        var lanes: Int
        /// The lanes of all workers.
        var allLanes: Int { workerCount * lanes }
        /// The memory of each worker in MiB.
        var memoryMiB: UInt64
        /// The place of the coordinator's state and the workers' blobs while the job runs.
        var place: TemporaryPlace
        /// The daemons' log level.
        var logLevel: String
    }

    /// The time for a daemon's start; it allows for a busy machine or disk, but not for one that hangs.
    private static let startLimit: Duration = .seconds(60)

    /// The longest time for the removal of the state after an interruption.
    private static let removalLimit: Duration = .seconds(5)

    /// The coordinator's endpoint.
    let endpoint: String
    private let coordinator: DaemonChild
    private let workers: [DaemonChild]
    /// The daemons' files: the coordinator's state, and below `workers` the workers' blobs.
    private let directory: OwnedDirectory

    private init(endpoint: String, coordinator: DaemonChild, workers: [DaemonChild], directory: OwnedDirectory) {
        self.endpoint = endpoint
        self.coordinator = coordinator
        self.workers = workers
        self.directory = directory
    }

    /// Starts a coordinator, waits until it listens, and starts its workers, which join it later.
    ///
    /// - Throws: ``CommandFailure`` when a daemon cannot be found or does not start, `CancellationError`. Then no
    ///   daemon runs and no file is left.
    static func start(_ settings: Settings) async throws -> LocalCluster {
        let program = try findDaemon()
        let directory = try stateDirectory(in: settings.place)
        var started: [DaemonChild] = []
        do {
            let coordinator = try DaemonChild(
                "coordinator", program,
                [
                    "coordinator", "--bind", "tcp://127.0.0.1:0", "--state-directory",
                    directory.path.appending("coordinator").string, "--heartbeat", "500", "--worker-timeout", "5000",
                    "--http", "off", "--log-level", settings.logLevel, "--end-with-input",
                ], environment: environment)
            started.append(coordinator)
            let line = try await coordinator.firstLine(within: startLimit)
            guard line.hasPrefix("ready ") else {
                throw CommandFailure(.failed, "the coordinator says \"\(line)\" and not where it listens.")
            }
            coordinator.showErrors()
            let endpoint = String(line.dropFirst("ready ".count))
            let workers = try startWorkers(settings, program, endpoint, directory) { started.append($0) }
            return LocalCluster(endpoint: endpoint, coordinator: coordinator, workers: workers, directory: directory)
        } catch {
            stop(workers: Array(started.dropFirst()), coordinator: started.first, directory)
            throw error
        }
    }

    private static func startWorkers(
        _ settings: Settings, _ program: URL, _ endpoint: String, _ directory: OwnedDirectory,
        onStart: (DaemonChild) -> Void
    ) throws -> [DaemonChild] {
        let blobs = directory.path.appending("workers")
        try Directories.create(blobs)
        // A named cache would be kept and made durable at the end. A fresh one below TMPDIR is neither kept nor made
        // durable.
        let environment = environment.merging(["TMPDIR": blobs.string]) { $1 }
        return try (1...settings.workerCount).map { number in
            let worker = try DaemonChild(
                "worker-\(number)", program,
                [
                    "worker", "--coordinator", endpoint, "--name", "worker-\(number)", "--lanes",
                    "\(settings.lanes)", "--memory", "\(settings.memoryMiB)", "--http", "off", "--log-level",
                    settings.logLevel, "--end-with-input",
                ], environment: environment)
            onStart(worker)
            return worker
        }
    }

    /// The environment without the settings for another coordinator, which clients and daemons would read.
    ///
    /// The daemons use no thread pool of OpenBLAS, because its idle threads would only take memory.
    private static var environment: [String: String] {
        ProcessInfo.processInfo.environment
            .filter { !$0.key.hasPrefix("KFACD_") && $0.key != "CREDENTIALS_DIRECTORY" }
            .merging(["OPENBLAS_NUM_THREADS": "1"]) { $1 }
    }

    private static func stateDirectory(in place: TemporaryPlace) throws -> OwnedDirectory {
        do {
            let parent = try WorkingDirectory.absolute(place.path)
            guard parent.isText else {
                throw CommandFailure(
                    .badInput, "\(parent): the name is not UTF-8 text. Name another place with \(place.setting).")
            }
            let directory = try OwnedDirectory(prefix: "kfacd-run-", in: place)
            do throws(FileAccessError) {
                try Directories.requireWriting(in: directory.path, setting: place.setting)
            } catch {
                directory.remove()
                throw error
            }
            return directory
        } catch let error as FileAccessError {
            throw CommandFailure(.failed, error.description)
        }
    }

    // MARK: - While it runs

    /// Waits until all workers have joined.
    ///
    /// - Throws: ``CommandFailure`` with the last lines of a worker that ended, or when they take too long.
    private func waitForWorkers() async throws {
        // A connection of its own, because one takes one question at a time, and the check of a job may take long.
        try await CoordinatorClient.connected(to: endpoint, keys: nil, patience: RequestPatience(), waitForWorkers)
        workers.forEach { $0.showErrors() }
    }

    private func waitForWorkers(_ client: CoordinatorClient) async throws {
        let deadline = ContinuousClock.now + Self.startLimit
        // Of those that have joined, one may end: the others compute its units.
        var joined: Set<String> = []
        while true {
            joined.formUnion(try await joinedWorkers(client))
            guard joined.count < workers.count else { return }
            guard coordinator.isRunning else {
                throw CommandFailure(.failed, "the coordinator ended (status \(coordinator.status)).")
            }
            if let ended = workers.first(where: { !$0.isRunning && !joined.contains($0.name) }) {
                throw CommandFailure(
                    .failed, "\(ended.name) ended before it joined (status \(ended.status)). \(ended.lastWords)")
            }
            // While others compute, the machine is busy, and the last ones may take long.
            guard !joined.isEmpty || ContinuousClock.now < deadline else {
                throw CommandFailure(
                    .failed,
                    "the workers did not join within \(Self.startLimit.components.seconds) s. "
                        + (workers.first?.lastWords ?? ""))
            }
            try await Task.sleep(for: .milliseconds(10))
        }
    }

    /// The names of the workers that are there; none while the coordinator does not answer.
    private func joinedWorkers(_ client: CoordinatorClient) async throws -> [String] {
        do {
            return try await client.workers().map(\.hello.worker.lastingName)
        } catch let failure as CommandFailure where failure.code == .unreachable {
            return []
        }
    }

    /// The coordinator's name as a publisher of files; it exists once the coordinator listens.
    var coordinatorName: String {
        CoordinatorIdentity.read(in: directory.path.appending("coordinator")) ?? ""
    }

    /// Whether the coordinator runs.
    var hasCoordinator: Bool { coordinator.isRunning }

    /// Runs a body, and fails when a worker does not join, or when the daemons stop working before the body ends.
    func whileRunning<Result: Sendable>(_ body: @escaping @Sendable () async throws -> Result) async throws -> Result {
        try await withThrowingTaskGroup(of: Result?.self) { group in
            group.addTask { try await body() }
            group.addTask {
                try await self.waitForWorkers()
                if let failure = try await self.watch() { throw failure }
                return nil
            }
            defer { group.cancelAll() }
            while let next = try await group.next() {
                if let result = next { return result }
            }
            throw CommandFailure(.failed, "the job was not followed to its end.")
        }
    }

    /// Returns only when the daemons cannot go on: the coordinator or every worker has ended.
    ///
    /// One worker that ends is no reason to stop, because the others compute its units.
    private func watch() async throws -> CommandFailure? {
        while true {
            try await Task.sleep(for: .milliseconds(100))
            if !coordinator.isRunning {
                return CommandFailure(.failed, "the coordinator ended unexpectedly (status \(coordinator.status)).")
            }
            if workers.allSatisfy({ !$0.isRunning }) {
                return CommandFailure(
                    .failed,
                    "every worker ended unexpectedly (status \(workers[0].status)); was there enough memory? "
                        + "See --memory.")
            }
        }
    }

    /// Ends all daemons and removes their files.
    func stop() {
        Self.stop(workers: workers, coordinator: coordinator, directory)
    }

    private static func stop(workers: [DaemonChild], coordinator: DaemonChild?, _ directory: OwnedDirectory) {
        // A worker in the middle of a unit is not given time, because nobody would use its result.
        workers.forEach { $0.endInput() }
        let deadline = ContinuousClock.now + .seconds(2)
        for worker in workers { worker.end(within: max(.zero, ContinuousClock.now.duration(to: deadline))) }
        // A coordinator in the middle of a file is not given time either, because nobody would complete the file.
        coordinator?.end(within: .seconds(5))
        // On a slow disk the removal of thousands of files takes long. After an interruption nobody waits for all of
        // them.
        let end = ContinuousClock.now + removalLimit
        guard !directory.remove(until: { Task.isCancelled && ContinuousClock.now > end }) else { return }
        Terminal.note("\(directory.path): not everything was removed; the next run there removes the rest.")
    }

    // MARK: - Finding things

    /// Finds `kfacd` beside this program, else on PATH.
    private static func findDaemon() throws -> URL {
        let own = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent()
        let path = ProcessInfo.processInfo.environment["PATH"] ?? ""
        let directories = [own] + path.split(separator: ":").map { URL(fileURLWithPath: String($0)) }
        for directory in directories {
            let candidate = directory.appendingPathComponent("kfacd")
            if FileManager.default.isExecutableFile(atPath: candidate.path) { return candidate }
        }
        throw CommandFailure(
            .failed, "the program \"kfacd\" is neither beside kfacctl (\(own.path)) nor on PATH. Install it there.")
    }
}
