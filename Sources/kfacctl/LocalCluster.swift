import Console
import Foundation
import Publication
import SystemPackage
import WireProtocol

/// A coordinator and workers on this machine: the same programs that run on a cluster, over loopback.
///
/// The daemons end when their standard input does, so that none is left behind even if this process is killed.
final class LocalCluster: @unchecked Sendable {
    // @unchecked Sendable because what is written is written before the first task sees the cluster; Process is read
    // only for whether it runs.

    private let coordinator: Process
    private let coordinatorInput = Pipe()
    private var workers: [(process: Process, input: Pipe)] = []
    /// All that the daemons keep: the coordinator's state, and below ``workerDirectory`` the workers' blobs.
    private let stateDirectory: String
    /// Where the coordinator listens.
    private(set) var endpoint = ""

    private let program: URL

    /// Starts a coordinator and its workers; that they have joined, ``waitForWorkers(_:)`` tells.
    ///
    /// - Parameters:
    ///   - workerCount: How many workers.
    ///   - memoryMiB: Memory of each, or `nil` for an equal share of what is available.
    ///   - stateParent: Where the coordinator's state and the workers' blobs are kept while the job runs.
    ///   - logLevel: What the daemons log.
    /// - Throws: ``CommandFailure`` when a daemon cannot be found or does not start.
    init(workerCount: Int, memoryMiB: UInt64?, stateParent: String, logLevel: String) async throws {
        program = try Self.findDaemon()
        stateDirectory = "\(stateParent)/kfacd-run-\(getpid())"
        coordinator = Process()
        let output = Pipe()
        coordinator.executableURL = program
        coordinator.arguments = [
            "coordinator", "--bind", "tcp://127.0.0.1:0", "--state-directory", "\(stateDirectory)/coordinator",
            "--heartbeat", "500", "--worker-timeout", "5000", "--http", "off", "--log-level", logLevel,
            "--end-with-input",
        ]
        coordinator.environment = Self.environment
        coordinator.standardInput = coordinatorInput
        coordinator.standardOutput = output
        try coordinator.run()
        guard let line = Self.firstLine(of: output.fileHandleForReading), line.hasPrefix("ready ") else {
            throw CommandFailure(.failed, "the coordinator did not start; its messages stand above.")
        }
        endpoint = String(line.dropFirst(6))
        guard workerCount > 0 else { return }
        try FileManager.default.createDirectory(atPath: workerDirectory, withIntermediateDirectories: true)
        let lanes = max(1, ProcessInfo.processInfo.activeProcessorCount / workerCount)
        let memory = memoryMiB ?? Self.availableMiB * 4 / 5 / UInt64(workerCount)
        for number in 1...workerCount {
            try startWorker(number, lanes: lanes, memoryMiB: memory, logLevel: logLevel)
        }
    }

    /// Without the settings of another coordinator, which its clients and daemons read from the environment too.
    private static var environment: [String: String] {
        ProcessInfo.processInfo.environment.filter { !$0.key.hasPrefix("KFACD_") && $0.key != "CREDENTIALS_DIRECTORY" }
    }

    /// Where workers make what they keep for a while only.
    private var workerDirectory: String { "\(stateDirectory)/workers" }

    private func startWorker(_ number: Int, lanes: Int, memoryMiB: UInt64, logLevel: String) throws {
        let process = Process()
        let input = Pipe()
        process.executableURL = program
        process.arguments = [
            "worker", "--coordinator", endpoint, "--name", "worker-\(number)", "--lanes", "\(lanes)", "--memory",
            "\(memoryMiB)", "--http", "off", "--log-level", logLevel, "--end-with-input",
        ]
        // A named cache would be kept, and brought to the disk at the end; a fresh one below TMPDIR is neither.
        // Idle threads of a pool that is never used would only cost memory.
        process.environment = Self.environment.merging(
            ["TMPDIR": workerDirectory, "OPENBLAS_NUM_THREADS": "1"]
        ) { $1 }
        process.standardInput = input
        process.standardOutput = FileHandle.nullDevice
        try process.run()
        workers.append((process, input))
    }

    /// Waits until all workers have joined.
    func waitForWorkers(_ client: CoordinatorClient) async throws {
        let deadline = Date.now.addingTimeInterval(60)
        while try await client.workers().count < workers.count {
            guard coordinator.isRunning, workers.allSatisfy({ $0.process.isRunning }) else {
                throw CommandFailure(.failed, "a worker ended before it joined; its messages stand above.")
            }
            guard Date.now < deadline else {
                throw CommandFailure(.failed, "the workers did not join within a minute.")
            }
            try await Task.sleep(for: .milliseconds(10))
        }
    }

    /// The coordinator's name among those that publish files; it is there once the coordinator listens.
    var coordinatorName: String {
        CoordinatorIdentity.read(in: FilePath("\(stateDirectory)/coordinator")) ?? ""
    }

    /// Whether the coordinator runs.
    var hasCoordinator: Bool { coordinator.isRunning }

    /// Runs a body, and fails when the daemons cannot go on before it is done.
    func whileRunning<Result: Sendable>(_ body: @escaping @Sendable () async throws -> Result) async throws -> Result {
        try await withThrowingTaskGroup(of: Result?.self) { group in
            group.addTask { try await body() }
            group.addTask {
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

    /// Returns only when the daemons cannot go on: the coordinator, or every worker, has ended.
    ///
    /// A single worker that ends is no reason to stop: its units are computed by the others.
    func watch() async throws -> CommandFailure? {
        while true {
            try await Task.sleep(for: .milliseconds(100))
            if !coordinator.isRunning {
                return CommandFailure(
                    .failed, "the coordinator ended unexpectedly (status \(coordinator.terminationStatus)).")
            }
            if !workers.isEmpty, workers.allSatisfy({ !$0.process.isRunning }) {
                return CommandFailure(
                    .failed,
                    "every worker ended unexpectedly (status \(workers[0].process.terminationStatus)); was there "
                        + "enough memory? See --memory.")
            }
        }
    }

    /// Ends all daemons and removes what they kept.
    func stop() {
        for worker in workers { worker.input.fileHandleForWriting.closeFile() }
        // A worker in the middle of a unit is not waited for: nobody would take its result.
        let deadline = Date.now.addingTimeInterval(2)
        while Date.now < deadline, workers.contains(where: { $0.process.isRunning }) { usleep(10_000) }
        for worker in workers where worker.process.isRunning { kill(worker.process.processIdentifier, SIGKILL) }
        for worker in workers { worker.process.waitUntilExit() }
        coordinatorInput.fileHandleForWriting.closeFile()
        // Nor is a coordinator in the middle of a file, which nobody would go on with.
        let end = Date.now.addingTimeInterval(5)
        while Date.now < end, coordinator.isRunning { usleep(10_000) }
        if coordinator.isRunning { kill(coordinator.processIdentifier, SIGKILL) }
        coordinator.waitUntilExit()
        try? FileManager.default.removeItem(atPath: stateDirectory)
    }

    // MARK: - Finding things

    /// `kfacd` beside this program, else on PATH.
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

    private static func firstLine(of handle: FileHandle) -> String? {
        var line = Data()
        while let byte = try? handle.read(upToCount: 1), !byte.isEmpty {
            if byte.first == UInt8(ascii: "\n") { return String(decoding: line, as: UTF8.self) }
            line.append(byte)
        }
        return nil
    }

    private static var availableMiB: UInt64 {
        let text = (try? String(contentsOfFile: "/proc/meminfo", encoding: .utf8)) ?? ""
        for line in text.split(separator: "\n") where line.hasPrefix("MemAvailable:") {
            let number = line.split(separator: " ").dropFirst().first.flatMap { UInt64($0) }
            return (number ?? 1 << 20) >> 10
        }
        return 1024
    }
}
