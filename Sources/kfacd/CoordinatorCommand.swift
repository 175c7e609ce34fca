import ArgumentParser
import CoordinatorService
import Foundation
import SystemPackage
import Telemetry
import ZeroMQ

/// `kfacd coordinator`.
struct CoordinatorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "coordinator", abstract: "Takes in jobs, gives their units to workers, writes the outputs.")

    @Option(help: "Where to listen; port 0 lets the kernel choose. Only loopback and ipc, until keys are there.")
    var bind = "tcp://127.0.0.1:7733"

    @Option(help: "Directory of the journal and the blobs; it makes restarts harmless.")
    var stateDirectory = "/var/lib/kfacd"

    @Option(help: "Milliseconds between two signs of life of a worker.")
    var heartbeat: UInt32 = 1000

    @Option(help: "Milliseconds without a sign of life after which a worker is lost.")
    var workerTimeout: UInt32 = 10_000

    @OptionGroup var options: DaemonOptions

    func validate() throws {
        guard workerTimeout > heartbeat, heartbeat > 0 else {
            throw ValidationError("--worker-timeout must be larger than --heartbeat, and both above 0.")
        }
    }

    func run() async throws {
        let logger = LogSetup.logger("kfacd-coordinator", level: options.logLevel.level)
        let endpoint: Endpoint
        do {
            endpoint = try Endpoint(bind)
        } catch {
            throw ValidationError(error.description)
        }
        let daemon = CoordinatorDaemon(
            configuration: CoordinatorConfiguration(
                endpoint: endpoint, stateDirectory: FilePath(stateDirectory),
                heartbeatInterval: .milliseconds(Int64(heartbeat)),
                workerTimeout: .milliseconds(Int64(workerTimeout)), build: "kfacd \(Build.version)"),
            logger: logger
        ) { endpoint in
            // One line on standard output tells a parent process where to connect.
            FileHandle.standardOutput.write(Data("ready \(endpoint)\n".utf8))
        }
        try await options.run(daemon, logger)
    }
}
