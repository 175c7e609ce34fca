import Synchronization

/// Tells how far a study is, and how long the rest will take at the pace so far.
public final class StudyProgress: Sendable {
    /// A state of the study, for whoever shows it.
    public struct Report: Sendable, Equatable {
        /// What is being done.
        public let activity: String
        /// The share that is done, 0 to 1; what an earlier run did counts.
        public let share: Double
        /// Seconds left at the pace of this run; nil until a pace is known.
        public let secondsLeft: Double?
    }

    private struct State {
        var total: Double
        var done: Double
        var doneBefore: Double
        /// Where the stage ends.
        var limit = Double.infinity
        var activity = ""
    }

    private let state: Mutex<State>
    private let start = ContinuousClock.now
    private let show: @Sendable (Report) -> Void

    /// Begins to count.
    ///
    /// - Parameters:
    ///   - total: The cost of everything, in any unit.
    ///   - done: Of that, what an earlier run did.
    ///   - show: Called after every change, from any thread.
    init(total: Double, done: Double, show: @escaping @Sendable (Report) -> Void) {
        state = Mutex(State(total: total, done: done, doneBefore: done))
        self.show = show
    }

    /// Names what is being done.
    func begin(_ activity: String) {
        state.withLock { $0.activity = activity }
        show(report)
    }

    /// Begins a stage, which counts for its cost at most: what an earlier one did and this one finds is not counted
    /// twice.
    func beginStage(cost: Double) {
        state.withLock { $0.limit = $0.done + cost }
    }

    /// Counts what was done.
    ///
    /// - Parameters:
    ///   - cost: Its cost.
    ///   - isNew: Whether this run did it: the pace does not count what it found.
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
