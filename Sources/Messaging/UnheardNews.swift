import Synchronization
import ZeroMQ

/// Reports connections that ended before they delivered a message: the first at once, then those of a minute together.
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

    /// Notes the connections since the last call, and reports them when a minute has passed since the last report.
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

    /// The connections of the last minute; reports are collected, so the time may be up to two minutes.
    func recentCount(at now: ContinuousClock.Instant) -> Int {
        state.withLock { state in
            let isRecent = state.lastTold.map { now - $0 < Self.period } ?? false
            return state.untold.count + (isRecent ? state.told.count : 0)
        }
    }
}
