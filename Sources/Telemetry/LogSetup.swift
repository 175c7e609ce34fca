public import Logging

/// How the daemons log.
public enum LogSetup {
    /// A logger that writes lines to standard error.
    ///
    /// - Parameters:
    ///   - label: The program's name.
    ///   - level: Lines below it are dropped.
    /// - Returns: The logger; nothing global is changed, so that tests may make several.
    public static func logger(_ label: String, level: Logger.Level) -> Logger {
        Logger(label: label) { _ in LineLogHandler(level: level) }
    }
}
