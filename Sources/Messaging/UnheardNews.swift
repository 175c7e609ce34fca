import Synchronization
import ZeroMQ

/// Tells of connections that ended before a message came by them: at once, and then of all of a minute together.
final class UnheardNews: Sendable {
    private static let period: Duration = .seconds(60)

    private struct State {
        var untold = UnheardConnectionsReport()
        var told = UnheardConnectionsReport()
        var lastTold: ContinuousClock.Instant?
    }

    private let state = Mutex(State())
    private let tell: @Sendable (UnheardConnectionsReport) -> Void

    init(tell: @escaping @Sendable (UnheardConnectionsReport) -> Void) {
        self.tell = tell
    }

    /// Notes what came since the last time, and tells it when a minute has passed since something was told.
    func note(_ report: UnheardConnectionsReport, at now: ContinuousClock.Instant) {
        let news: UnheardConnectionsReport? = state.withLock { state in
            state.untold.add(report)
            guard state.untold.count > 0, state.lastTold.map({ now - $0 >= Self.period }) ?? true else { return nil }
            (state.told, state.lastTold) = (state.untold, now)
            state.untold = UnheardConnectionsReport()
            return state.told
        }
        if let news { tell(news) }
    }

    /// How many there were in the last minute, or, since they are told together, up to two.
    func recentCount(at now: ContinuousClock.Instant) -> Int {
        state.withLock { state in
            let isRecent = state.lastTold.map { now - $0 < Self.period } ?? false
            return state.untold.count + (isRecent ? state.told.count : 0)
        }
    }
}
