import Messaging
import Synchronization

/// A worker's departure: its machine or the coordinator asks for it, and the coordinator finally lets it go.
final class Farewell: Sendable {
    /// How long a worker waits for an unreachable coordinator before it leaves without being let go.
    static let absenceLimit: Duration = .seconds(5)

    private let reasons: AsyncStream<String>
    private let reasonSink: AsyncStream<String>.Continuation
    private let announcedReason = Mutex<String?>(nil)
    private let dismissals: AsyncStream<Void>
    private let dismissalSink: AsyncStream<Void>.Continuation

    init() {
        (reasons, reasonSink) = AsyncStream.makeStream(of: String.self, bufferingPolicy: .bufferingOldest(1))
        (dismissals, dismissalSink) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingOldest(1))
    }

    /// Asks the worker to leave; the first reason counts.
    func begin(_ reason: String) {
        reasonSink.yield(reason)
    }

    /// Notes that the coordinator was told; a coordinator that restarts or loses the connection must be told again.
    func announce(_ reason: String) {
        announcedReason.withLock { $0 = reason }
    }

    /// The reason that the coordinator was told.
    var announced: String? { announcedReason.withLock { $0 } }

    /// Lets the worker go, because nothing more is wanted of it.
    func dismiss() {
        dismissalSink.yield()
        reasonSink.yield("the coordinator dismissed the worker")
    }

    /// Waits until the worker is asked to leave; `nil` when the task ends first.
    func reason() async -> String? {
        for await reason in reasons { return reason }
        return nil
    }

    /// Waits until the coordinator lets the worker go, a limit passes, or the coordinator is absent.
    func isLetGo(within limit: Duration, by connection: WorkerConnection) async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { for await _ in self.dismissals { return } }
            group.addTask { try? await Task.sleep(for: limit) }
            group.addTask {
                var absentSince: ContinuousClock.Instant?
                while !Task.isCancelled {
                    let now = ContinuousClock.now
                    if await connection.isConnected { absentSince = nil } else { absentSince = absentSince ?? now }
                    if let absentSince, now - absentSince >= Self.absenceLimit { return }
                    try? await Task.sleep(for: .milliseconds(100))
                }
            }
            await group.next()
            group.cancelAll()
        }
    }
}
