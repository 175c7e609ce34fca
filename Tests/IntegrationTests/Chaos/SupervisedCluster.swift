import Foundation
import TestSupport
import Testing

/// A coordinator and workers, each under a service manager, and the lines between them.
final class SupervisedCluster {
    /// After which silence a worker is lost.
    static let workerTimeout = Duration.milliseconds(1500)

    /// How a cluster is put together.
    struct Layout {
        var workers = 3
        /// Whether workers and clients reach the coordinator over lines that can break.
        var hasLines = false
        /// The hosts, if there are any: the coordinator and the clients on the first, the workers on the others.
        var hosts: NetworkHosts?
    }

    let directory: TemporaryDirectory
    /// The coordinator, then the workers.
    let daemons: [SupervisedDaemon]
    /// The workers' lines, then the clients'; between hosts one, from the workers to the coordinator's host.
    let lines: [UnreliableLine]
    let hosts: NetworkHosts?
    private let port: UInt16
    private let temporaries: TemporaryDirectory

    /// Where the coordinator listens.
    var endpoint: String { "tcp://127.0.0.1:\(port)" }

    /// What starts clients.
    private var launcher: [String] { hosts?.launcher(0) ?? [] }

    /// Starts the daemons and waits until the coordinator listens.
    ///
    /// - Throws: ``WaitError`` when it does not get ready.
    init(_ layout: Layout) async throws {
        directory = try TemporaryDirectory()
        temporaries = try TemporaryDirectory()
        port = try Self.quietPort()
        hosts = layout.hosts
        if let hosts = layout.hosts {
            lines = [try UnreliableLine(to: port, on: (hosts, 0))]
        } else {
            lines = try layout.hasLines ? (0...layout.workers).map { [port] _ in try UnreliableLine(to: port) } : []
        }
        let process = Launch(directory: directory, environment: ["TMPDIR": temporaries.path])
        let coordinator = process.coordinator(at: "tcp://127.0.0.1:\(port)", layout.hosts?.launcher(0) ?? [])
        let workers = (0..<layout.workers).map { [lines, port] number in
            // Workers that share a line are on hosts, of which the coordinator has the first.
            let line = lines.count > 1 ? lines[number] : lines.first
            let launcher = layout.hosts.map { $0.launcher(1 + number % ($0.count - 1)) } ?? []
            return process.worker(number, line?.endpoint ?? "tcp://127.0.0.1:\(port)", launcher)
        }
        daemons = [coordinator] + workers
        for daemon in daemons { try daemon.start() }
        _ = try await CoordinatorProgram.endpoint(of: coordinator.programs[0])
    }

    /// How daemons are started.
    private struct Launch {
        let directory: TemporaryDirectory
        let environment: [String: String]

        func coordinator(at endpoint: String, _ launcher: [String]) -> SupervisedDaemon {
            let milliseconds = Int(SupervisedCluster.workerTimeout / .milliseconds(1))
            return SupervisedDaemon("coordinator") { name in
                try CoordinatorProgram.launch(
                    endpoint, ["--heartbeat", "\(milliseconds / 6)", "--worker-timeout", "\(milliseconds)"],
                    name: name, launcher: launcher, environment: environment, in: directory)
            }
        }

        func worker(_ number: Int, _ endpoint: String, _ launcher: [String]) -> SupervisedDaemon {
            let name = "worker-\(number + 1)"
            let command =
                launcher + [
                    Programs.daemon, "worker", "--coordinator", endpoint, "--name", name, "--lanes", "1", "--memory",
                    "1024", "--cache-directory", directory.appending("cache-\(name)"), "--end-with-input",
                ]
            return SupervisedDaemon(name) { name in
                try RunningProgram(
                    command[0], Array(command.dropFirst()), name: name, in: directory, environment: environment)
            }
        }
    }

    /// A port that is free, and that the kernel gives to nobody who asks for any: it must stay free while the
    /// coordinator is down.
    private static func quietPort() throws -> UInt16 {
        for _ in 0..<100 {
            let port = UInt16.random(in: 20_000..<30_000)
            if Socket.isFree(port) { return port }
        }
        throw WaitError(description: "no port between 20000 and 30000 is free")
    }

    // MARK: - Questions

    /// Runs `kfacctl` with direct access to the coordinator.
    ///
    /// - Throws: ``WaitError`` when it does not end in time.
    func client(_ arguments: String...) async throws -> CommandResult {
        try await Client.run(
            arguments, in: directory, environment: ["KFACD_COORDINATOR": endpoint], launcher: launcher)
    }

    /// Starts a `kfacctl` that the test's lines disturb.
    ///
    /// - Throws: what Foundation throws when it cannot be started.
    func disturbedClient(_ arguments: [String], name: String) throws -> RunningProgram {
        let command = launcher + [Programs.client] + arguments
        return try RunningProgram(
            command[0], Array(command.dropFirst()), name: name, in: directory,
            environment: ["KFACD_COORDINATOR": lines.count > 1 ? lines[lines.count - 1].endpoint : endpoint])
    }

    /// The end of every log, for the message of a failed test.
    var logTails: String {
        daemons.flatMap { $0.programs.suffix(3) }.map(\.logTail).joined(separator: "\n\n")
    }

    // MARK: - The end

    /// Ends all daemons in order and requires that nothing of them is left.
    ///
    /// - Throws: ``WaitError`` and requirements.
    func end() async throws {
        for daemon in daemons.reversed() { try await daemon.end() }
        let processes = ProcessTree.below(directory.path).union(ProcessTree.below(endpoint))
        try #require(processes == [], "processes are left")
        try #require(try temporaries.names() == [], "temporary files are left")
        let incoming = directory.appending("state/blobs/incoming")
        try #require(try FileManager.default.contentsOfDirectory(atPath: incoming) == [], "half a blob is left")
    }

    /// Copies every log to a directory that outlives the test, in place of what is there.
    ///
    /// - Throws: what Foundation throws when it cannot be written.
    func keepLogs(in path: String) throws {
        if FileManager.default.fileExists(atPath: path) { try FileManager.default.removeItem(atPath: path) }
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        for name in try directory.names() where name.hasSuffix(".stderr") {
            try FileManager.default.copyItem(atPath: directory.appending(name), toPath: "\(path)/\(name)")
        }
    }
}
