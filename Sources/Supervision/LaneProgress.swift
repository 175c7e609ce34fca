internal import Synchronization

/// A lane's progress with its unit, and the deadline of its next step.
///
/// A long computation is healthy, and a dead lane is not. So a unit states how long its costliest stage may take. The
/// time starts again with every step. A lane that waits for the network is not checked here: the other end is.
public final class LaneProgress: HealthCheck {
    /// The current activity of a lane.
    public enum Activity: String, Sendable, CaseIterable {
        /// The lane has no unit.
        case idle
        /// The lane waits for bytes from another machine.
        case waiting
        /// The lane computes, or reads and writes files of its own machine.
        case computing
    }

    /// The progress of a unit.
    public struct Reading: Equatable, Sendable {
        /// The number of steps done.
        public var steps: UInt64
        /// Whether the unit waits for bytes from another machine.
        public var isWaiting: Bool

        /// States the progress of a unit.
        public init(steps: UInt64, isWaiting: Bool) {
            self.steps = steps
            self.isWaiting = isWaiting
        }
    }

    /// The factor by which a prediction may be exceeded; predictions assume a core that has the machine to itself.
    public static let factor = 20.0
    /// The least time for every stage, because a slow file system is not a standstill.
    public static let leeway: Duration = .seconds(120)

    private struct Unit {
        let title: String
        let allowance: Duration
        let read: @Sendable () -> Reading
        var steps: UInt64
        var lastProgress: ContinuousClock.Instant
    }

    /// The lane's number.
    public let number: Int
    private let unit = Mutex<Unit?>(nil)

    /// Watches a lane.
    public init(number: Int) {
        self.number = number
    }

    /// Begins a unit.
    ///
    /// - Parameters:
    ///   - title: The unit's title, for the sentence.
    ///   - stageSeconds: The predicted time of its costliest stage.
    ///   - now: The current time.
    ///   - read: Gives the unit's progress, until ``end()``.
    public func begin(
        _ title: String, stageSeconds: Double, at now: ContinuousClock.Instant = .now,
        read: @escaping @Sendable () -> Reading
    ) {
        // The prediction comes from a peer's lease, so it is checked for NaN and bounded.
        let seconds = stageSeconds.isFinite ? min(max(stageSeconds, 0), 1e6) : 1e6
        let begun = Unit(
            title: title, allowance: Self.leeway + .seconds(seconds * Self.factor), read: read, steps: read().steps,
            lastProgress: now)
        unit.withLock { $0 = begun }
    }

    /// Ends the unit.
    public func end() {
        unit.withLock { $0 = nil }
    }

    /// The lane's current activity.
    public var activity: Activity { current.activity }

    /// The lane's current activity, and its unit's title.
    public var current: (activity: Activity, title: String?) {
        unit.withLock { unit in
            guard let unit else { return (.idle, nil) }
            return (unit.read().isWaiting ? .waiting : .computing, unit.title)
        }
    }

    /// The problem that the lane computes and has shown no progress for too long.
    ///
    /// Progress is a change since the last check.
    public func problem(at now: ContinuousClock.Instant) -> String? {
        unit.withLock { unit in
            guard var watched = unit else { return nil }
            let reading = watched.read()
            if reading.isWaiting || reading.steps != watched.steps {
                (watched.steps, watched.lastProgress) = (reading.steps, now)
                unit = watched
            }
            let silence = now - watched.lastProgress
            guard silence > watched.allowance else { return nil }
            return "lane \(number) has shown no progress for \(silence.components.seconds) s with the "
                + "\(watched.title); it may take \(watched.allowance.components.seconds) s"
        }
    }
}
