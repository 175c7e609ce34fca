import Foundation
import TestSupport
import Testing

/// A coordinator and workers, each under a service manager, and the lines between them.
final class SupervisedCluster {
    /// The silence after which a worker is lost.
    static let workerTimeout = Duration.milliseconds(1500)

    /// The parts of a cluster.
    struct Layout {
        var workers = 3
        /// Whether workers and clients reach the coordinator over lines that can fail.
        var hasLines = false
        /// The hosts, if any; the first has the coordinator and the clients, the others have the workers.
        var hosts: NetworkHosts?
    }

    let directory: TemporaryDirectory
    /// The coordinator, then the workers.
    let daemons: [SupervisedDaemon]
    /// The workers' lines, then the clients'.
    let lines: [UnreliableLine]
    let hosts: NetworkHosts?
    /// The coordinator's endpoint.
    let endpoint: String
    private let keys: ClusterKeys?
    private let temporaries: TemporaryDirectory

    /// The command that starts clients.
    private var launcher: [String] { hosts?.launcher(0) ?? [] }

    /// Starts the coordinator and waits until it listens.
    ///
    /// - Throws: ``WaitError`` when the coordinator does not get ready.
    init(_ layout: Layout) async throws {
        directory = try TemporaryDirectory()
        temporaries = try TemporaryDirectory()
        hosts = layout.hosts
        keys = layout.hosts == nil ? nil : try await ClusterKeys()
        let launch = Launch(
            directory: directory, keys: keys, hosts: layout.hosts, environment: ["TMPDIR": temporaries.path])
        let host = layout.hosts?.address(0) ?? "127.0.0.1"
        let (coordinator, port) = try await QuietPort.with { port -> (SupervisedDaemon, UInt16) in
            let coordinator = launch.coordinator(at: "tcp://\(host):\(port)")
            try coordinator.start()
            _ = try await CoordinatorProgram.endpoint(of: coordinator.programs[0])
            return (coordinator, port)
        }
        endpoint = "tcp://\(host):\(port)"
        lines = try layout.hasLines ? (0...layout.workers).map { _ in try UnreliableLine(to: port) } : []
        let workers = (0..<layout.workers).map { [lines, endpoint] number in
            launch.worker(number, lines.isEmpty ? endpoint : lines[number].endpoint)
        }
        daemons = [coordinator] + workers
    }

    /// Starts the workers; no job makes progress before that.
    ///
    /// - Throws: what Foundation throws when a worker cannot be started.
    func startWorkers() throws {
        for worker in daemons.dropFirst() { try worker.start() }
    }

    /// How daemons are started.
    private struct Launch {
        let directory: TemporaryDirectory
        let keys: ClusterKeys?
        let hosts: NetworkHosts?
        let environment: [String: String]

        /// The options that protect an endpoint between hosts; files are in the directory of all tests.
        private func protection(_ options: [String]?) -> [String] {
            options.map { $0 + ["--root", FileManager.default.temporaryDirectory.path] } ?? []
        }

        func coordinator(at endpoint: String) -> SupervisedDaemon {
            let milliseconds = Int(SupervisedCluster.workerTimeout / .milliseconds(1))
            let options =
                ["--heartbeat", "\(milliseconds / 6)", "--worker-timeout", "\(milliseconds)"]
                + protection(keys?.coordinatorOptions)
            return SupervisedDaemon("coordinator") { name in
                try CoordinatorProgram.launch(
                    endpoint, options, name: name, launcher: hosts?.launcher(0) ?? [], environment: environment,
                    in: directory)
            }
        }

        func worker(_ number: Int, _ endpoint: String) -> SupervisedDaemon {
            let name = "worker-\(number + 1)"
            // The coordinator is on the first host.
            let launcher = hosts.map { $0.launcher(1 + number % ($0.count - 1)) } ?? []
            let command =
                launcher + [
                    Programs.daemon, "worker", "--coordinator", endpoint, "--name", name, "--lanes", "1", "--memory",
                    "1024", "--cache-directory", directory.appending("cache-\(name)"), "--end-with-input",
                    "--drain-timeout", "3600",
                ] + protection(keys?.workerOptions)
            return SupervisedDaemon(name) { name in
                try RunningProgram(
                    command[0], Array(command.dropFirst()), name: name, in: directory, environment: environment)
            }
        }
    }

    // MARK: - Questions

    private func clientEnvironment(_ endpoint: String) -> [String: String] {
        (keys?.clientEnvironment ?? [:]).merging(["KFACD_COORDINATOR": endpoint]) { $1 }
    }

    /// Runs `kfacctl` with direct access to the coordinator.
    ///
    /// - Throws: ``WaitError`` when the command does not end in time.
    func client(_ arguments: String...) async throws -> CommandResult {
        try await Client.run(
            arguments, in: directory, environment: clientEnvironment(endpoint), launcher: launcher)
    }

    /// Starts a `kfacctl` whose connection the test's lines disturb.
    ///
    /// - Throws: what Foundation throws when the program cannot be started.
    func disturbedClient(_ arguments: [String], name: String) throws -> RunningProgram {
        let command = launcher + [Programs.client] + arguments
        return try RunningProgram(
            command[0], Array(command.dropFirst()), name: name, in: directory,
            environment: clientEnvironment(lines.last?.endpoint ?? endpoint))
    }

    /// The end of every log, for the message of a failed test.
    var logTails: String {
        daemons.flatMap { $0.programs.suffix(3) }.map(\.logTail).joined(separator: "\n\n")
    }

    // MARK: - The end

    /// Ends all daemons in order, and requires that none of their files is left.
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

    /// Copies every log to a directory that outlives the test, and replaces what is there.
    ///
    /// - Throws: what Foundation throws when the directory cannot be written.
    func keepLogs(in path: String) throws {
        if FileManager.default.fileExists(atPath: path) { try FileManager.default.removeItem(atPath: path) }
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        for name in try directory.names() where name.hasSuffix(".stderr") {
            try FileManager.default.copyItem(atPath: directory.appending(name), toPath: "\(path)/\(name)")
        }
    }
}
