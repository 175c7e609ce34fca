import ArgumentParser
import Foundation
import Identifiers
import SystemPackage
import Telemetry
import WorkerService
import ZeroMQ

/// `kfacd worker`.
struct WorkerCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "worker", abstract: "Computes the units that a coordinator gives it.")

    @Option(help: "Where the coordinator listens.")
    var coordinator = "tcp://127.0.0.1:7733"

    @Option(help: "The worker's name; by default the machine's.")
    var name: String?

    @Option(help: "Units computed at once, each on one core; by default one for each core that the process may use.")
    var lanes: Int?

    @Option(help: "Memory for units, in MiB; by default four fifths of what is available.")
    var memory: UInt64?

    @Option(help: "Seconds to wait for the coordinator's first answer.")
    var patience: UInt32 = 60

    @Option(
        help: """
            Where the worker keeps its blobs, one directory a worker; by default a fresh one under TMPDIR, removed at \
            exit.
            """)
    var cacheDirectory: String?

    @Option(
        help: """
            Most blobs that the worker keeps, in MiB; by default a quarter of the directory's file system or half of \
            what is free there, whichever is less.
            """)
    var cacheSize: UInt64?

    @OptionGroup var options: DaemonOptions

    func validate() throws {
        if let cacheSize, cacheSize < 1 { throw ValidationError("--cache-size must be at least 1.") }
        if let lanes, lanes < 1 { throw ValidationError("--lanes must be at least 1.") }
        if let name, name.isEmpty || name.utf8.count > 100 {
            throw ValidationError("--name must have 1 to 100 bytes.")
        }
    }

    func run() async throws {
        let logger = LogSetup.logger("kfacd-worker", level: options.logLevel.level)
        let endpoint: Endpoint
        do {
            endpoint = try Endpoint(coordinator)
        } catch {
            throw ValidationError(error.description)
        }
        let directory = try CacheDirectory(path: cacheDirectory)
        defer { directory.removeIfTemporary() }
        let host = ProcessInfo.processInfo.hostName
        // A restarted worker is another one: what the coordinator expects of the old one is void.
        let suffix = String(UInt32.random(in: .min ... .max), radix: 36)
        let worker = Worker(
            configuration: WorkerConfiguration(
                coordinator: endpoint, worker: WorkerID(rawValue: "\(name ?? host)-\(getpid())-\(suffix)"), host: host,
                lanes: lanes ?? Machine.usableCores, memoryBytes: memory.map(\.mebibytes) ?? Machine.usableMemoryBytes,
                greetingLimit: .seconds(Int64(patience)), build: "kfacd \(Build.version)",
                cacheDirectory: FilePath(directory.path),
                cacheBytes: try cacheSize.map(\.mebibytes) ?? directory.defaultByteCount,
                keepsCache: !directory.isTemporary),
            logger: logger)
        SecondSignal.watch()
        try await options.run(worker, logger)
    }
}

extension UInt64 {
    /// As many mebibytes in bytes, or the most that a number holds.
    fileprivate var mebibytes: UInt64 {
        let (bytes, overflow) = multipliedReportingOverflow(by: 1 << 20)
        return overflow ? .max : bytes
    }
}
