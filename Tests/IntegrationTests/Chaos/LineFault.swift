import TestSupport

/// What a network does to the connections between two programs.
enum LineFault: Equatable, Sendable {
    /// The two ends of a line: the near one connects, the far one listens.
    enum End: CaseIterable, Sendable {
        case near, far

        static func random(using random: inout SplitMix64) -> End { Bool.random(using: &random) ? .near : .far }
    }

    /// Every connection is reset at both ends.
    case reset
    /// The connections of now, or the next one when there is none, end after so many more bytes from an end, in the
    /// middle of whatever they belong to: with a reset, or as if the other side had closed it.
    case cut(afterBytes: Int, from: End, isAbrupt: Bool)
    /// Nothing moves in either direction; then everything goes on.
    case stall(Duration)
    /// Everything arrives, but later.
    case delay(Duration, for: Duration)
    /// One end is reset, the other end hears nothing of it and nothing else, ever: a half-open connection.
    case abandon(End)
    /// Every connection is reset, and so is each new one for a while.
    case refuse(Duration)

    /// Draws a fault; a worker is lost after the timeout, and what stalls does so for shorter and for longer.
    static func random(around timeout: Duration, using random: inout SplitMix64) -> LineFault {
        switch Int.random(in: 0..<20, using: &random) {
        case 0..<4: return .reset
        case 4..<11:
            // Few bytes end a greeting, many a chunk of a transfer.
            let magnitude = Int.random(in: 4...21, using: &random)
            return .cut(
                afterBytes: Int.random(in: 1 << magnitude...2 << magnitude, using: &random),
                from: .random(using: &random), isAbrupt: Bool.random(using: &random))
        case 11..<15: return .stall(.random(around: timeout, using: &random))
        case 15..<17:
            return .delay(
                .milliseconds(Int.random(in: 1...60, using: &random)), for: .random(around: timeout, using: &random))
        case 17: return .abandon(.random(using: &random))
        default: return .refuse(.random(around: timeout, using: &random))
        }
    }
}

extension Duration {
    /// From a tenth to twice a duration.
    static func random(around middle: Duration, using random: inout SplitMix64) -> Duration {
        middle * Double.random(in: 0.1...2, using: &random)
    }
}
