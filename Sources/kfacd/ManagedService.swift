import Logging
import ServiceLifecycle
import Supervision
import Systemd
import Telemetry

/// Reports the daemon's state to the service manager, from the start to the end.
struct ManagedService: Service, CustomStringConvertible {
    // The service group puts every service into words, and reflection on all of its members takes milliseconds.
    let description = "the word to the service manager"
    let notifier: ServiceNotifier
    let environment: ServiceEnvironment
    let supervision: DaemonSupervision
    let logger: Logger

    func run() async throws {
        guard notifier.hasManager else {
            try? await gracefulShutdown()
            return
        }
        let (notifier, supervision, logger) = (notifier, supervision, logger)
        supervision.readiness.whenFirstReady { notifier.send(.ready) }
        let watchdog = Watchdog(notifier: notifier, problems: { supervision.health.problems() }) { problems in
            logger.error(
                "the service manager gets no sign of life",
                metadata: [LogKeys.cause: "\(problems.joined(separator: "; "))"])
        }
        await cancelWhenGracefulShutdown {
            await withTaskGroup(of: Void.self) { group in
                if let timeout = environment.watchdogTimeout {
                    group.addTask { await watchdog.run(timeout: timeout) }
                }
                group.addTask {
                    while !Task.isCancelled {
                        notifier.status(await supervision.status)
                        try? await Task.sleep(for: .seconds(1))
                    }
                }
                group.addTask { await extendStart() }
            }
        }
    }

    /// Extends the start while the daemon starts and is healthy, because a long journal is no reason to end it.
    private func extendStart() async {
        while !Task.isCancelled, !supervision.readiness.hasBeenSet {
            if supervision.health.problems().isEmpty { notifier.send(.extendTimeout(.seconds(30))) }
            try? await Task.sleep(for: .seconds(10))
        }
    }
}
