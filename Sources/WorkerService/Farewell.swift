import Messaging
import Synchronization

/// How a worker leaves: asked to by its machine or by the coordinator, and at last let go.
final class Farewell: Sendable {
    /// How long a worker waits for a coordinator that cannot be reached before it leaves without its word.
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

    /// Notes that the coordinator was told; one that is restarted, or loses the connection, has to be told again.
    func announce(_ reason: String) {
        announcedReason.withLock { $0 = reason }
    }

    /// Why the worker leaves, once the coordinator was told.
    var announced: String? { announcedReason.withLock { $0 } }

    /// Lets the worker go: nothing is wanted of it any more.
    func dismiss() {
        dismissalSink.yield()
        reasonSink.yield("the coordinator dismissed the worker")
    }

    /// Waits until the worker is asked to leave; `nil` when the task ends before.
    func reason() async -> String? {
        for await reason in reasons { return reason }
        return nil
    }

    /// Waits until the coordinator lets the worker go, a limit passes, or nobody is there to do so.
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
