import Dispatch
import Foundation
import Logging
import ServiceLifecycle
import Synchronization
import Systemd
import UnixSignals

/// Handles signals.
///
/// The first SIGTERM or SIGINT ends the daemon in order, and the second at once. SIGHUP reads its configuration again.
struct SignalService: Service, CustomStringConvertible {
    // The service group puts every service into words, and reflection on all of its members takes milliseconds.
    let description = "the signals"
    let notifier: ServiceNotifier
    let handlers: ReloadHandlers
    let shutdown: ShutdownTrigger
    let stopLimit: Duration
    let logger: Logger

    /// Time in which a second signal counts as the first: timeout(1) signals a process and then its group.
    private static let echo: Duration = .milliseconds(250)

    func run() async throws {
        // A queue of its own, which needs no task to run. So the limit holds even when all tasks are busy.
        let backstop = StopBackstop(limit: stopLimit, logger: logger)
        defer { backstop.cancel() }
        let signals = await UnixSignalsSequence(trapping: .sigterm, .sigint, .sighup)
        await cancelWhenGracefulShutdown {
            var isStopping = false
            for await signal in signals {
                if signal == .sighup {
                    await notifier.reloading { await handlers.run() }
                } else if !isStopping {
                    isStopping = true
                    stop()
                }
            }
        }
    }

    private func stop() {
        notifier.send(.stopping)
        notifier.send(.extendTimeout(stopLimit + .seconds(5)))
        Task { await shutdown.fire() }
    }
}

/// Makes sure that a daemon that was told to end does end: at once on a second signal, otherwise within the limit.
private struct StopBackstop {
    /// Time in which a second signal counts as the first: timeout(1) signals a process and then its group.
    private static let echo: Duration = .milliseconds(250)

    private let sources: [any DispatchSourceSignal]

    init(limit: Duration, logger: Logger) {
        let queue = DispatchQueue(label: "kfacd-signals")
        let state = SignalState()
        sources = [SIGTERM, SIGINT].map { number in
            let source = DispatchSource.makeSignalSource(signal: number, queue: queue)
            source.setEventHandler {
                guard let first = state.note() else { return StopLimit.begin(limit, logger) }
                guard first.duration(to: .now) > Self.echo else { return }
                logger.warning("ended by a second signal")
                // 130 means interrupted. Current work is recovered as after a crash.
                _exit(130)
            }
            source.resume()
            return source
        }
    }

    func cancel() { sources.forEach { $0.cancel() } }
}

/// The time of the first signal.
private final class SignalState: Sendable {
    private let first = Mutex<ContinuousClock.Instant?>(nil)

    /// Notes a signal; if it is not the first, returns the time of the first.
    func note() -> ContinuousClock.Instant? {
        first.withLock { first in
            guard first == nil else { return first }
            first = .now
            return nil
        }
    }
}

/// Ends a daemon that does not end in order.
enum StopLimit {
    /// Ends the process after a time limit; the thread ends with the process.
    static func begin(_ limit: Duration, _ logger: Logger) {
        // A thread of its own, because the tasks may be what hangs.
        Thread.detachNewThread {
            Thread.sleep(forTimeInterval: limit / .seconds(1))
            logger.warning("ended in the middle of a unit, which could not be interrupted; it is computed again")
            _exit(0)
        }
    }
}

/// Connects signals to the group of services, which is made after the signal handlers.
final class ShutdownTrigger: Sendable {
    private let action = Mutex<@Sendable () async -> Void>({})

    /// Sets the action.
    func connect(_ action: @escaping @Sendable () async -> Void) {
        self.action.withLock { $0 = action }
    }

    /// Runs the action.
    func fire() async {
        await action.withLock { $0 }()
    }
}
