import Foundation
import Logging
import ServiceLifecycle
import Synchronization
import Systemd
import UnixSignals

/// Ends the daemon in order on the first SIGTERM or SIGINT, at once on the second, and reads its configuration again
/// on SIGHUP.
struct SignalService: Service {
    let notifier: ServiceNotifier
    let handlers: ReloadHandlers
    let shutdown: ShutdownTrigger
    let stopLimit: Duration
    let logger: Logger

    /// Who signals a process and then its group, as timeout(1) does, means it once.
    private static let echo: Duration = .milliseconds(250)

    func run() async throws {
        let signals = await UnixSignalsSequence(trapping: .sigterm, .sigint, .sighup)
        await cancelWhenGracefulShutdown {
            var stopping: ContinuousClock.Instant?
            for await signal in signals {
                if signal == .sighup {
                    await notifier.reloading { await handlers.run() }
                } else if let begun = stopping {
                    guard begun.duration(to: .now) > Self.echo else { continue }
                    logger.warning("ended by a second signal")
                    // 130, interrupted: what is under way is recovered like after a crash.
                    _exit(130)
                } else {
                    stopping = .now
                    stop()
                }
            }
        }
    }

    private func stop() {
        notifier.send(.stopping)
        notifier.send(.extendTimeout(stopLimit + .seconds(5)))
        StopLimit.begin(stopLimit, logger)
        Task { await shutdown.fire() }
    }
}

/// The end of a daemon that does not end in order.
enum StopLimit {
    /// Ends the process after so long; the thread ends with it.
    static func begin(_ limit: Duration, _ logger: Logger) {
        // A thread of its own, since the tasks may be what does not end.
        Thread.detachNewThread {
            Thread.sleep(forTimeInterval: limit / .seconds(1))
            logger.warning("ended in the middle of a unit, which could not be interrupted; it is computed again")
            _exit(0)
        }
    }
}

/// The way from a signal to the group of services, which is made after those who hear the signal.
final class ShutdownTrigger: Sendable {
    private let action = Mutex<@Sendable () async -> Void>({})

    /// Says what happens.
    func connect(_ action: @escaping @Sendable () async -> Void) {
        self.action.withLock { $0 = action }
    }

    /// Lets it happen.
    func fire() async {
        await action.withLock { $0 }()
    }
}
