public import Logging

/// How the daemons log.
public enum LogSetup {
    /// A logger that writes lines to standard error.
    ///
    /// - Parameters:
    ///   - label: The program's name.
    ///   - level: Lines below it are dropped.
    /// - Returns: The logger; nothing global changes, so that tests may make several.
    public static func logger(_ label: String, level: Logger.Level) -> Logger {
        logger(label, threshold: LogThreshold(level))
    }

    /// A logger that writes lines to standard error.
    ///
    /// - Parameters:
    ///   - label: The program's name.
    ///   - threshold: Lines below its level are dropped; it may change while the program runs.
    ///   - book: Keeps the latest lines in memory.
    /// - Returns: The logger; nothing global changes, so that tests may make several.
    public static func logger(_ label: String, threshold: LogThreshold, book: LogBook? = nil) -> Logger {
        Logger(label: label) { _ in LineLogHandler(threshold: threshold, book: book) }
    }
}
