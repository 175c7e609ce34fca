import ArgumentParser
import Console
import ControlGroups
import CoordinatorService
import Keys
import Messaging
import PrometheusMetrics
import PushedRuns
import Settings
import Supervision
import SystemPackage
import Telemetry
import ZeroMQ

/// `kfacd coordinator`.
struct CoordinatorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "coordinator", abstract: "Takes in jobs, gives their units to workers, writes the outputs.",
        discussion: DaemonHelp.layers)

    @Option(
        help: """
            Where to listen; port 0 lets the kernel choose. Other than loopback and ipc takes keys and --root. \
            (default: tcp://127.0.0.1:7733)
            """)
    var bind: String?

    @Option(help: "Directory of the journal and the blobs; it makes restarts harmless. (default: /var/lib/kfacd)")
    var stateDirectory: String?

    @Option(help: "Milliseconds between two signs of life of a worker. (default: 1000)")
    var heartbeat: Int?

    @Option(help: "Milliseconds without a sign of life after which a worker is lost. (default: 10000)")
    var workerTimeout: Int?

    @Option(help: "Directory of the runs whose partial sums clients push. (default: runs in the state directory)")
    var runDirectory: String?

    @Option(
        help: """
            Most bytes of all pushed runs, in MiB; by default a quarter of the directory's file system or half of what \
            is free there, whichever is less.
            """)
    var runQuota: Int?

    @Option(
        help: "Time without activity after which a pushed run is removed: 7d, 12h, 30m, 45s or never. (default: 7d)")
    var runExpiry: String?

    @OptionGroup(title: "Protection") var protection: CoordinatorProtectionOptions

    @OptionGroup var options: DaemonOptions

    /// How long an unfinished file may delay the end; the journal lets the next start write it again.
    ///
    /// The limit is below `TimeoutStopSec` of the service.
    private static let stopLimit: Duration = .seconds(60)

    private static let keys =
        [
            SettingKey("bind", .text, default: .text("tcp://127.0.0.1:7733")),
            SettingKey("state-directory", .text, default: .text("/var/lib/kfacd")),
            SettingKey("heartbeat", .integer, default: .integer(1000)),
            SettingKey("worker-timeout", .integer, default: .integer(10_000)),
            SettingKey("run-directory", .text), SettingKey("run-quota", .integer),
            SettingKey("run-expiry", .text, default: .text("7d")),
        ] + CoordinatorProtectionOptions.keys + DaemonOptions.keys(http: "127.0.0.1:7780")

    private func settings() throws -> Settings {
        var flags = options.flags.merging(protection.flags) { $1 }
        flags["bind"] = bind.map { .text($0) }
        flags["state-directory"] = stateDirectory.map { .text($0) }
        flags["heartbeat"] = heartbeat.map { .integer($0) }
        flags["worker-timeout"] = workerTimeout.map { .integer($0) }
        flags["run-directory"] = runDirectory.map { .text($0) }
        flags["run-quota"] = runQuota.map { .integer($0) }
        flags["run-expiry"] = runExpiry.map { .text($0) }
        return try options.settings(Self.keys, flags: flags)
    }

    func run() async throws {
        let settings = try settings()
        var typed = DaemonSettings(settings)
        let planned = Self.configuration(&typed)
        let address = typed.statusAddress()
        let threshold = LogThreshold(typed.logLevel())
        try typed.requireNoProblems()
        if options.printConfiguration {
            Terminal.print(settings.text.hasSuffix("\n") ? String(settings.text.dropLast()) : settings.text)
            throw ExitCode(Terminal.exitCode())
        }
        guard var configuration = planned else { return }
        try Kfacd.require(.daemon(lanes: 2))
        let protection = try ProtectionSettings(settings).coordinator(at: configuration.endpoint)
        (configuration.keys, configuration.roots) = (protection.keys, protection.roots)
        // A coordinator that ends with its parent belongs to a single run.
        configuration.isLasting = !settings.truth("end-with-input")
        let book = LogBook()
        let logger = LogSetup.logger("kfacd-coordinator", threshold: threshold, book: book)
        let supervision = DaemonSupervision(
            families: BuildMetric.families + CoordinatorMetrics.families + NetworkMetrics.families
                + ProcessMetrics.families)
        BuildMetric.add(to: supervision.metrics, role: "coordinator")
        let daemon = CoordinatorDaemon(
            configuration: configuration, supervision: supervision, logger: logger, book: book
        ) {
            // One line on standard output tells a parent process where to connect. Without a parent nobody reads it.
            Terminal.print("ready \($0)")
        }
        let process = DaemonProcess(
            settings: settings, threshold: threshold, logger: logger, supervision: supervision,
            statusAddress: address, version: BuildMetric.version(role: "coordinator"),
            stopLimit: Self.stopLimit)
        if let keys = configuration.keys {
            process.reloadHandlers.add { KeyReload(keys: keys.authorized, logger: logger).run() }
        }
        try await process.run(daemon) { try self.settings() }
    }

    private static func configuration(_ typed: inout DaemonSettings) -> CoordinatorConfiguration? {
        let heartbeat = typed.integer("heartbeat", in: 1...3_600_000)
        let timeout = typed.integer("worker-timeout", in: 2...86_400_000)
        if let heartbeat, let timeout, timeout <= heartbeat {
            typed.refuse("worker-timeout", "expected more than heartbeat, which is \(heartbeat).")
        }
        let endpoint = typed.endpoint("bind")
        if let problem = endpoint?.bindingProblem { typed.refuse("bind", problem) }
        let quota = typed.integer("run-quota", in: 1...(1 << 40))
        let expiry = RunExpiry(typed.settings.text("run-expiry") ?? "")
        if expiry == nil { typed.refuse("run-expiry", RunExpiry.expectation) }
        guard let endpoint, let heartbeat, let timeout, let expiry else { return nil }
        var configuration = CoordinatorConfiguration(
            endpoint: endpoint, stateDirectory: FilePath(typed.settings.text("state-directory") ?? ""),
            heartbeatInterval: .milliseconds(heartbeat), workerTimeout: .milliseconds(timeout),
            build: "kfacd \(Build.version)")
        if let directory = typed.settings.text("run-directory") { configuration.runDirectory = FilePath(directory) }
        configuration.runQuota = quota.map { .bytes(UInt64($0) << 20) } ?? .share
        configuration.runExpiry = expiry.time
        return configuration
    }
}

extension DaemonSettings {
    /// Reads the endpoint for listening or connecting.
    mutating func endpoint(_ name: String) -> Endpoint? {
        do {
            return try Endpoint(settings.text(name) ?? "")
        } catch {
            refuse(name, error.description)
            return nil
        }
    }
}
