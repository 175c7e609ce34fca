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
    }

    let directory: TemporaryDirectory
    /// The coordinator, then the workers.
    let daemons: [SupervisedDaemon]
    /// The workers' lines, then the clients'.
    let lines: [UnreliableLine]
    private let port: UInt16
    private let temporaries: TemporaryDirectory

    private var coordinator: SupervisedDaemon { daemons[0] }

    /// Where the coordinator listens.
    var endpoint: String { "tcp://127.0.0.1:\(port)" }

    /// Where clients that shall be disturbed connect to.
    var clientEndpoint: String { lines.last?.endpoint ?? endpoint }

    /// Starts the daemons and waits until the coordinator listens.
    ///
    /// - Throws: ``WaitError`` when it does not get ready.
    init(_ layout: Layout) async throws {
        let (directory, temporaries) = (try TemporaryDirectory(), try TemporaryDirectory())
        let port = try Self.quietPort()
        let endpoint = "tcp://127.0.0.1:\(port)"
        let environment = ["TMPDIR": temporaries.path]
        (self.directory, self.temporaries, self.port) = (directory, temporaries, port)
        lines = try layout.hasLines ? (0...layout.workers).map { _ in try UnreliableLine(to: port) } : []
        let milliseconds = Int(Self.workerTimeout / .milliseconds(1))
        let coordinator = SupervisedDaemon("coordinator") { name in
            try CoordinatorProgram.launch(
                endpoint, ["--heartbeat", "\(milliseconds / 6)", "--worker-timeout", "\(milliseconds)"], name: name,
                environment: environment, in: directory)
        }
        let workers = (0..<layout.workers).map { [lines] number in
            SupervisedDaemon("worker-\(number + 1)") { name in
                try RunningProgram(
                    Programs.daemon,
                    [
                        "worker", "--coordinator", lines.isEmpty ? endpoint : lines[number].endpoint, "--name",
                        "worker-\(number + 1)", "--lanes", "1", "--memory", "1024", "--end-with-input",
                    ], name: name, in: directory, environment: environment)
            }
        }
        daemons = [coordinator] + workers
        for daemon in daemons { try daemon.start() }
        _ = try await CoordinatorProgram.endpoint(of: coordinator.programs[0])
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
        try await Client.run(arguments, in: directory, environment: ["KFACD_COORDINATOR": endpoint])
    }

    /// Starts a `kfacctl` that the test's lines disturb.
    ///
    /// - Throws: what Foundation throws when it cannot be started.
    func disturbedClient(_ arguments: [String], name: String) throws -> RunningProgram {
        try RunningProgram(
            Programs.client, arguments, name: name, in: directory,
            environment: ["KFACD_COORDINATOR": clientEndpoint])
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
