import Synchronization

/// Reports a study's progress, and the remaining time at the current pace.
public final class StudyProgress: Sendable {
    /// The progress of a study at one moment.
    public struct Report: Sendable, Equatable {
        /// The current activity.
        public let activity: String
        /// The finished share, 0 to 1, including the work of earlier runs.
        public let share: Double
        /// The remaining seconds at the pace of this run; nil until a pace is known.
        public let secondsLeft: Double?
    }

    private struct State {
        var total: Double
        var done: Double
        var doneBefore: Double
        /// The cost at the end of the stage.
        var limit = Double.infinity
        var activity = ""
    }

    private let state: Mutex<State>
    private let start = ContinuousClock.now
    private let show: @Sendable (Report) -> Void

    /// Starts to count.
    ///
    /// - Parameters:
    ///   - total: The total cost, in any unit.
    ///   - done: The part of it that an earlier run did.
    ///   - show: Called after every change, from any thread.
    init(total: Double, done: Double, show: @escaping @Sendable (Report) -> Void) {
        state = Mutex(State(total: total, done: done, doneBefore: done))
        self.show = show
    }

    /// Sets the current activity.
    func begin(_ activity: String) {
        state.withLock { $0.activity = activity }
        show(report)
    }

    /// Begins a stage, which counts at most its cost.
    ///
    /// So work of an earlier run that this run finds again is not counted twice.
    func beginStage(cost: Double) {
        state.withLock { $0.limit = $0.done + cost }
    }

    /// Counts finished work.
    ///
    /// - Parameters:
    ///   - cost: The work's cost.
    ///   - isNew: Whether this run did it. Work that this run found does not count for the pace.
    func add(_ cost: Double, isNew: Bool = true) {
        state.withLock {
            let counted = min(cost, max(0, $0.limit - $0.done))
            $0.done += counted
            if !isNew { $0.doneBefore += counted }
        }
        show(report)
    }

    var report: Report {
        let elapsed = (ContinuousClock.now - start) / .seconds(1)
        return state.withLock { state in
            let here = state.done - state.doneBefore
            // A pace from the first moments would be a guess.
            let left = here > 0.02 * state.total ? elapsed * max(0, state.total - state.done) / here : nil
            return Report(activity: state.activity, share: min(1, state.done / state.total), secondsLeft: left)
        }
    }
}
