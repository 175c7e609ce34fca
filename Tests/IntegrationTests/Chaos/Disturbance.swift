import TestSupport

/// A disturbance of a cluster.
enum Disturbance: Equatable, Sendable {
    /// A daemon's process ends at once, and its service manager starts it again after a while.
    case kill(daemon: Int, downFor: Duration)
    /// A daemon's process stops for a while.
    case stop(daemon: Int, for: Duration)
    /// A line has a fault.
    case fault(line: Int, LineFault)
    /// A host's network fails for a while.
    case isolate(host: Int, for: Duration)
}

/// The sequence of disturbances; equal for equal seeds.
///
/// The machine's speed decides what a disturbance hits. So a seed repeats the acts, not their effects.
struct ChaosSchedule {
    /// The possible disturbances.
    struct Scope {
        var daemons = 0
        var lines = 0
        var hosts = 0
        var kills = false
        var stops = false
        /// The silence after which a worker is lost.
        var timeout: Duration
    }

    private enum Kind {
        case kill, stop, fault, isolate
    }

    private let scope: Scope
    private let kinds: [Kind]
    private var random: SplitMix64

    init(seed: UInt64, _ scope: Scope) {
        self.scope = scope
        random = SplitMix64(seed: seed)
        kinds =
            (scope.kills ? [.kill] : []) + (scope.stops ? [.stop] : []) + (scope.lines > 0 ? [.fault] : [])
            + (scope.hosts > 0 ? [.isolate] : [])
        precondition(!kinds.isEmpty, "a schedule of nothing")
    }

    /// Draws the next disturbance, and the pause before it.
    mutating func next() -> (pause: Duration, disturbance: Disturbance) {
        let pause = Duration.milliseconds(Int.random(in: 50...900, using: &random))
        return (pause, disturbance())
    }

    /// Draws the end of a line's first connection, within its first messages.
    mutating func nextCut() -> LineFault {
        .cut(
            afterBytes: Int.random(in: 1...2000, using: &random), from: LineFault.End.random(using: &random),
            isAbrupt: Bool.random(using: &random))
    }

    private mutating func disturbance() -> Disturbance {
        switch kinds[Int.random(in: kinds.indices, using: &random)] {
        case .kill:
            return .kill(
                daemon: Int.random(in: 0..<scope.daemons, using: &random),
                downFor: .milliseconds(Int.random(in: 0...1000, using: &random)))
        case .stop:
            return .stop(
                daemon: Int.random(in: 0..<scope.daemons, using: &random),
                for: .random(around: scope.timeout, using: &random))
        case .fault:
            return .fault(
                line: Int.random(in: 0..<scope.lines, using: &random), .random(around: scope.timeout, using: &random))
        case .isolate:
            return .isolate(
                host: Int.random(in: 0..<scope.hosts, using: &random),
                for: .random(around: scope.timeout, using: &random))
        }
    }
}
