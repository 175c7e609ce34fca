import ArgumentParser
import Foundation
import Logging
import ServiceLifecycle
import Telemetry
import UnixSignals

/// What both daemons take.
struct DaemonOptions: ParsableArguments {
    @Option(help: "Lines below this level are dropped.")
    var logLevel: LogLevel = .notice

    @Flag(help: "End when standard input is closed: for a parent that must not leave daemons behind.")
    var endWithInput = false

    /// Runs a daemon until a signal, or until standard input is closed.
    func run(_ service: any Service, _ logger: Logger) async throws {
        let group = ServiceGroup(
            configuration: ServiceGroupConfiguration(
                services: [.init(service: service, successTerminationBehavior: .gracefullyShutdownGroup)],
                gracefulShutdownSignals: [.sigterm, .sigint], logger: logger))
        if endWithInput { InputWatcher.watch { await group.triggerGracefulShutdown() } }
        do {
            try await group.run()
        } catch {
            logger.error("stopped", metadata: [LogKeys.cause: "\(error)"])
            throw ExitCode(1)
        }
    }
}

/// Notices when standard input is closed.
enum InputWatcher {
    /// Calls back once nothing can be read any more: the parent is gone.
    ///
    /// The thread ends with the process.
    static func watch(_ onEnd: @escaping @Sendable () async -> Void) {
        Thread.detachNewThread {
            while !FileHandle.standardInput.availableData.isEmpty { continue }
            Task { await onEnd() }
        }
    }
}

/// The levels of swift-log, as an option.
enum LogLevel: String, ExpressibleByArgument, CaseIterable {
    case trace, debug, info, notice, warning, error, critical

    /// The level itself.
    var level: Logger.Level { Logger.Level(rawValue: rawValue) ?? .notice }
}
