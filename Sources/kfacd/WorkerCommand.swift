import ArgumentParser
import Console
import ControlGroups
import Foundation
import Identifiers
import Messaging
import PrometheusMetrics
import Settings
import Supervision
import SystemPackage
import Telemetry
import WorkerService
import ZeroMQ

/// `kfacd worker`.
struct WorkerCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "worker", abstract: "Computes the units that a coordinator gives it.",
        discussion: DaemonHelp.layers)

    @Option(help: "Where the coordinator listens. (default: tcp://127.0.0.1:7733)")
    var coordinator: String?

    @Option(help: "The worker's name; by default the machine's.")
    var name: String?

    @Option(help: "Units computed at once, each on one core; by default one for each core that the process may use.")
    var lanes: Int?

    @Option(help: "Memory for units, in MiB; by default four fifths of what is available, less the memory for rows.")
    var memory: Int?

    @Option(help: "Memory for sums of rows that clients stream, in MiB; 0 takes no rows. (default: 0)")
    var rowMemory: Int?

    @Option(help: "Seconds to wait for the coordinator's first answer. (default: 60)")
    var patience: Int?

    @Option(help: "Seconds that units under way and the collection of blobs may take on SIGTERM. (default: 90)")
    var drainTimeout: Int?

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
    var cacheSize: Int?

    @Option(help: "What computes factors; kfacd-configuration(5) lists the backends. (default: blas)")
    var backend: String?

    @OptionGroup(title: "Protection") var protection: WorkerProtectionOptions

    @OptionGroup var options: DaemonOptions

    private static let keys =
        [
            SettingKey("coordinator", .text, default: .text("tcp://127.0.0.1:7733")),
            SettingKey("name", .text), SettingKey("lanes", .integer), SettingKey("memory", .integer),
            SettingKey("row-memory", .integer, default: .integer(0)),
            SettingKey("patience", .integer, default: .integer(60)),
            SettingKey("drain-timeout", .integer, default: .integer(90)),
            SettingKey("cache-directory", .text), SettingKey("cache-size", .integer),
            SettingKey("backend", .text, default: .text(FactorBackendRegistry.automatic)),
        ] + WorkerProtectionOptions.keys + DaemonOptions.keys(http: "off")

    private func settings() throws -> Settings {
        var flags = options.flags.merging(protection.flags) { $1 }
        flags["coordinator"] = coordinator.map { .text($0) }
        flags["name"] = name.map { .text($0) }
        flags["lanes"] = lanes.map { .integer($0) }
        flags["memory"] = memory.map { .integer($0) }
        flags["row-memory"] = rowMemory.map { .integer($0) }
        flags["patience"] = patience.map { .integer($0) }
        flags["drain-timeout"] = drainTimeout.map { .integer($0) }
        flags["cache-directory"] = cacheDirectory.map { .text($0) }
        flags["cache-size"] = cacheSize.map { .integer($0) }
        flags["backend"] = backend.map { .text($0) }
        return try options.settings(Self.keys, flags: flags)
    }

    func run() async throws {
        let settings = try settings()
        var typed = DaemonSettings(settings)
        let planned = Self.configuration(&typed)
        let cacheSize = typed.integer("cache-size", in: 1...(1 << 40))
        let address = typed.statusAddress()
        let threshold = LogThreshold(typed.logLevel())
        try typed.requireNoProblems()
        if options.printConfiguration {
            Terminal.print(settings.text.hasSuffix("\n") ? String(settings.text.dropLast()) : settings.text)
            throw ExitCode(Terminal.exitCode())
        }
        guard var configuration = planned else { return }
        // Lanes for rows are besides those for units.
        try Kfacd.require(.daemon(lanes: configuration.lanes * (configuration.rowMemoryBytes > 0 ? 2 : 1)))
        let protection = try ProtectionSettings(settings).worker(of: configuration.coordinator)
        (configuration.keys, configuration.roots) = (protection.keys, protection.roots)
        let directory = try CacheDirectory(path: settings.text("cache-directory"))
        defer { directory.removeIfTemporary() }
        configuration.cacheDirectory = directory.path
        configuration.cacheLimit = cacheSize.map { .bytes(UInt64($0) << 20) } ?? .share
        configuration.keepsCache = !directory.isTemporary
        let logger = LogSetup.logger("kfacd-worker", threshold: threshold)
        let supervision = DaemonSupervision(
            families: BuildMetric.families + WorkerMetrics.families + NetworkMetrics.families
                + ProcessMetrics.families)
        BuildMetric.add(to: supervision.metrics, role: "worker")
        let worker = Worker(configuration: configuration, supervision: supervision, logger: logger)
        let process = DaemonProcess(
            settings: settings, threshold: threshold, logger: logger, supervision: supervision,
            statusAddress: address, version: BuildMetric.version(role: "worker"),
            stopLimit: configuration.drainLimit + .seconds(5))
        try await process.run(worker) { try self.settings() }
    }

    private static func configuration(_ typed: inout DaemonSettings) -> WorkerConfiguration? {
        let settings = typed.settings
        let capacity = MachineCapacity.current()
        let lanes = settings.integer("lanes") == nil ? capacity.processors : typed.integer("lanes", in: 1...4096)
        let rowMemory = typed.integer("row-memory", in: 0...(1 << 32)).map { UInt64($0) << 20 }
        let memory = typed.unitMemory(of: capacity, besides: rowMemory ?? 0)
        let patience = typed.integer("patience", in: 1...86_400)
        let drain = typed.integer("drain-timeout", in: 0...86_400)
        let host = ProcessInfo.processInfo.hostName
        let name = settings.text("name") ?? host
        if name.isEmpty || name.utf8.count > 100 { typed.refuse("name", "expected 1 to 100 bytes.") }
        let endpoint = typed.endpoint("coordinator")
        if let problem = endpoint?.connectingProblem { typed.refuse("coordinator", problem) }
        let backend = typed.factorBackend()
        guard let endpoint, let lanes, let memory, let rowMemory, let patience, let drain, let backend else {
            return nil
        }
        // A restarted worker is a new one. What the coordinator expects of the old one is void.
        let worker = WorkerID(name: name, process: getpid(), mark: .random(in: .min ... .max))
        var configuration = WorkerConfiguration(
            coordinator: endpoint, worker: worker, host: host, lanes: lanes, memoryBytes: memory,
            greetingLimit: .seconds(patience), build: "kfacd \(Build.version)",
            // The directory is set later, when everything else is valid.
            cacheDirectory: "", cacheLimit: .share, drainLimit: .seconds(drain))
        configuration.rowMemoryBytes = rowMemory
        configuration.backend = backend
        return configuration
    }
}

extension DaemonSettings {
    /// The memory for units in bytes: as set, or what the memory for rows leaves of the machine's.
    fileprivate mutating func unitMemory(of capacity: MachineCapacity, besides rowBytes: UInt64) -> UInt64? {
        guard settings.integer("memory") == nil else {
            return integer("memory", in: 1...(1 << 32)).map { UInt64($0) << 20 }
        }
        guard rowBytes < capacity.memoryBytes else {
            refuse(
                "row-memory",
                "expected less than the \(capacity.memoryBytes >> 20) MiB for units and rows together, or memory set.")
            return nil
        }
        return capacity.memoryBytes - rowBytes
    }

    /// What computes factors.
    fileprivate mutating func factorBackend() -> (any FactorBackend)? {
        do {
            return try FactorBackendRegistry.backend(named: settings.text("backend") ?? "")
        } catch {
            refuse("backend", error.description)
            return nil
        }
    }
}
