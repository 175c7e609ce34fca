public import Logging
import Synchronization

/// The lowest level that is logged.
///
/// All loggers of a program share it, and it can change while the program runs.
public final class LogThreshold: Sendable {
    /// The names of the levels, the lowest first.
    public static let levelNames = Logger.Level.allCases.map(\.rawValue)

    private let current: Mutex<Logger.Level>

    /// Makes a threshold with a level.
    public init(_ level: Logger.Level) {
        current = Mutex(level)
    }

    /// The current level.
    public var level: Logger.Level {
        get { current.withLock { $0 } }
        set { current.withLock { $0 = newValue } }
    }
}
