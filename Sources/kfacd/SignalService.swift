import Dispatch
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
        // A queue of its own, which needs no task to run: whatever keeps all of them busy, the limit holds.
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

/// Sees to it that a daemon which was told to end does: at once on a second signal, and in time after the first.
private struct StopBackstop {
    /// Who signals a process and then its group, as timeout(1) does, means it once.
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
                // 130, interrupted: what is under way is recovered like after a crash.
                _exit(130)
            }
            source.resume()
            return source
        }
    }

    func cancel() { sources.forEach { $0.cancel() } }
}

/// When the first signal came.
private final class SignalState: Sendable {
    private let first = Mutex<ContinuousClock.Instant?>(nil)

    /// Notes a signal, and says when the first came if this is another.
    func note() -> ContinuousClock.Instant? {
        first.withLock { first in
            guard first == nil else { return first }
            first = .now
            return nil
        }
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
