public import Logging
import Synchronization

/// The level below which lines are dropped, shared by all loggers of a program, so that it can change while it runs.
public final class LogThreshold: Sendable {
    private let current: Mutex<Logger.Level>

    /// Begins with a level.
    public init(_ level: Logger.Level) {
        current = Mutex(level)
    }

    /// The level that holds now.
    public var level: Logger.Level {
        get { current.withLock { $0 } }
        set { current.withLock { $0 = newValue } }
    }
}
