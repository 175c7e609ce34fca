import ArgumentParser
import FileAccess
import Foundation
import Logging
import PrometheusMetrics
import ServiceLifecycle
import Settings
import StatusServer
import Supervision
import Systemd
import Telemetry
import UnixSignals

/// Runs a daemon as a process: signals, the service manager, status pages, and settings that may change meanwhile.
struct DaemonProcess {
    let settings: Settings
    let threshold: LogThreshold
    let logger: Logger
    let supervision: DaemonSupervision
    let statusAddress: StatusAddress?
    let version: [(name: String, value: String)]
    /// How long the daemon has to end before the process is killed.
    let stopLimit: Duration
    let reloadHandlers = ReloadHandlers()

    /// Runs a daemon until a signal, or until standard input is closed.
    ///
    /// - Parameters:
    ///   - daemon: The daemon.
    ///   - reread: Reads the settings again.
    /// - Throws: `ExitCode` 1 when the daemon fails. The log has the reason.
    func run(_ daemon: any Service, reread: @escaping @Sendable () throws -> Settings) async throws {
        await TimerDescriptors.take()
        let environment = ServiceEnvironment.take()
        let notifier = try notifier(environment)
        reloadHandlers.add { reload(reread) }
        let shutdown = ShutdownTrigger()
        let manager = ManagedService(
            notifier: notifier, environment: environment, supervision: supervision, logger: logger)
        let gate = StartGate()
        // The last service is told to end first. It is the daemon, and the others show its end.
        var services: [ServiceGroupConfiguration.ServiceConfiguration] = [
            .init(service: manager),
            .init(
                service: SignalService(
                    notifier: notifier, handlers: reloadHandlers, shutdown: shutdown, stopLimit: stopLimit,
                    logger: logger)),
        ]
        if let statusAddress {
            services.append(.init(service: statusServer(statusAddress, gate)))
        } else {
            gate.open()
        }
        services.append(
            .init(
                service: GatedService(service: daemon, gate: gate),
                successTerminationBehavior: .gracefullyShutdownGroup))
        let group = ServiceGroup(configuration: ServiceGroupConfiguration(services: services, logger: logger))
        shutdown.connect { await group.triggerGracefulShutdown() }
        if settings.truth("end-with-input") {
            InputWatcher.watch {
                StopLimit.begin(stopLimit, logger)
                await group.triggerGracefulShutdown()
            }
        }
        do {
            try await group.run()
        } catch {
            let cause = SystemWords.text(of: error)
            notifier.send(.status("failed: \(cause)"), .stopping)
            logger.error("stopped", metadata: [LogKeys.cause: "\(cause)"])
            throw ExitCode(1)
        }
    }

    private func notifier(_ environment: ServiceEnvironment) throws -> ServiceNotifier {
        do {
            return try ServiceNotifier(address: environment.notifyAddress) { error in
                logger.warning("the service manager is not told", metadata: [LogKeys.cause: "\(error)"])
            }
        } catch {
            logger.error("stopped", metadata: [LogKeys.cause: "\(error)"])
            throw ExitCode(1)
        }
    }

    private func statusServer(_ address: StatusAddress, _ gate: StartGate) -> StatusServer {
        let supervision = supervision
        let source = StatusSource(
            version: version, healthProblems: { supervision.health.problems() },
            notReady: { supervision.readiness.reason },
            metrics: { (await supervision.metrics.exposition(), ExpositionText.contentType) },
            status: { await supervision.status }, sections: { await supervision.sections })
        if !address.isLoopback {
            logger.warning(
                "anybody who reaches the status pages can read them", metadata: [LogKeys.endpoint: "http://\(address)"])
        }
        return StatusServer(address: address, source: source) { address in
            logger.notice("serving status pages", metadata: [LogKeys.endpoint: "http://\(address)"])
            gate.open()
        }
    }

    /// Applies settings that can change while the daemon runs, and reports those that cannot.
    private func reload(_ reread: () throws -> Settings) {
        let new: Settings
        do {
            new = try reread()
        } catch {
            logger.error(
                "the configuration is unchanged: it cannot be read again", metadata: [LogKeys.cause: "\(error)"])
            return
        }
        let changes = settings.changes(to: new)
        for entry in changes where !entry.key.isReloadable {
            logger.warning(
                "a changed setting takes effect with the next start",
                metadata: ["setting": "\(entry.key.name)", "source": "\(entry.source)"])
        }
        var typed = DaemonSettings(new)
        let level = typed.logLevel()
        guard typed.problems.isEmpty else {
            logger.error(
                "the log level is unchanged", metadata: [LogKeys.cause: "\(typed.problems.joined(separator: " "))"])
            return
        }
        threshold.level = level
        logger.notice("the configuration was read again", metadata: ["log_level": "\(level)"])
    }
}
