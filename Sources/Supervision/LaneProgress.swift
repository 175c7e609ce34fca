internal import Synchronization

/// How far a lane has come with its unit, and until when its next sign of progress must come.
///
/// A long computation is healthy and a dead lane is not. So a unit states how long its costliest stage may take, and
/// the time begins anew with every step that it counts. A lane that waits for the network is not judged: the
/// other end is.
public final class LaneProgress: HealthCheck {
    /// What a lane does at the moment.
    public enum Activity: String, Sendable, CaseIterable {
        /// It has no unit.
        case idle
        /// It waits for bytes from another machine.
        case waiting
        /// It computes, or reads and writes files of its own machine.
        case computing
    }

    /// How far a unit has come.
    public struct Reading: Equatable, Sendable {
        /// Steps done: each is progress.
        public var steps: UInt64
        /// Whether it waits for bytes from another machine.
        public var isWaiting: Bool

        /// States how far a unit has come.
        public init(steps: UInt64, isWaiting: Bool) {
            self.steps = steps
            self.isWaiting = isWaiting
        }
    }

    /// How many times a prediction may be exceeded: predictions are for a core that has the machine to itself.
    public static let factor = 20.0
    /// What every stage may take at least: a slow file system is no standstill.
    public static let leeway: Duration = .seconds(120)

    private struct Unit {
        let title: String
        let allowance: Duration
        let read: @Sendable () -> Reading
        var steps: UInt64
        var lastProgress: ContinuousClock.Instant
    }

    /// Which lane it is.
    public let number: Int
    private let unit = Mutex<Unit?>(nil)

    /// Watches a lane.
    public init(number: Int) {
        self.number = number
    }

    /// Begins a unit.
    ///
    /// - Parameters:
    ///   - title: What it is, for the sentence.
    ///   - stageSeconds: What the costliest of its stages is predicted to take.
    ///   - now: The instant.
    ///   - read: Tells how far it has come, until ``end()``.
    public func begin(
        _ title: String, stageSeconds: Double, at now: ContinuousClock.Instant = .now,
        read: @escaping @Sendable () -> Reading
    ) {
        // A prediction from a lease is a peer's: neither NaN nor the end of time.
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

    /// What the lane does.
    public var activity: Activity { current.activity }

    /// What the lane does, and with which unit.
    public var current: (activity: Activity, title: String?) {
        unit.withLock { unit in
            guard let unit else { return (.idle, nil) }
            return (unit.read().isWaiting ? .waiting : .computing, unit.title)
        }
    }

    /// That the lane computes and has shown no progress for too long; progress is what changed since the last look.
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
