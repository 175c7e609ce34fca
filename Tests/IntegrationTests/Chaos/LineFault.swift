import TestSupport

/// A network fault on the connections between two programs.
enum LineFault: Equatable, Sendable {
    /// The two ends of a line; the near one connects, the far one listens.
    enum End: CaseIterable, Sendable {
        case near, far

        static func random(using random: inout SplitMix64) -> End { Bool.random(using: &random) ? .near : .far }
    }

    /// Every connection is reset at both ends.
    case reset
    /// The current connections, or the next one, end after this number of bytes from an end.
    ///
    /// The cut may be in the middle of a message. It is a reset, or looks like an orderly close by the other side.
    case cut(afterBytes: Int, from: End, isAbrupt: Bool)
    /// Nothing moves in either direction for a while.
    case stall(Duration)
    /// All bytes arrive late.
    case delay(Duration, for: Duration)
    /// One end is reset, and the other end is told nothing and receives nothing any more: a half-open connection.
    case abandon(End)
    /// Every connection is reset, and each new one too for a while.
    case refuse(Duration)

    /// Draws a fault; a worker is lost after the timeout, and stalls may be shorter or longer than that.
    static func random(around timeout: Duration, using random: inout SplitMix64) -> LineFault {
        switch Int.random(in: 0..<20, using: &random) {
        case 0..<4: return .reset
        case 4..<11:
            // Few bytes end a greeting, and many end a chunk of a transfer.
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
    /// Draws a duration from a tenth to twice another.
    static func random(around middle: Duration, using random: inout SplitMix64) -> Duration {
        middle * Double.random(in: 0.1...2, using: &random)
    }
}
