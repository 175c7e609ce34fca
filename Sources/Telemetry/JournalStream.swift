#if canImport(Glibc)
    import Glibc
#endif

/// Whether lines go to the systemd journal, where they may begin with a priority.
///
/// Children inherit `JOURNAL_STREAM` even when their standard error leads elsewhere. So its device and inode are
/// compared with those of the descriptor. Source: systemd.exec(5).
public enum JournalStream {
    /// The form on standard error of an error that no logger reports, such as one in the configuration.
    ///
    /// - Parameter text: One line or several.
    /// - Returns: The text; each line has the priority of an error when standard error is the journal's.
    public static func errorText(_ text: String) -> String {
        isStandardError ? withErrorPriority(text) : text
    }

    /// A text with syslog(3)'s error priority before each line, because the journal takes every line for an entry.
    static func withErrorPriority(_ text: String) -> String {
        text.split(separator: "\n", omittingEmptySubsequences: false).map { "<3>\($0)" }.joined(separator: "\n")
    }

    /// Whether this process's standard error is the journal's.
    static let isStandardError: Bool = {
        guard let variable = getenv("JOURNAL_STREAM") else { return false }
        return isStream(String(cString: variable), descriptor: STDERR_FILENO)
    }()

    /// Whether a descriptor is the stream that the variable names as `device:inode`.
    static func isStream(_ variable: String, descriptor: Int32) -> Bool {
        let numbers = variable.split(separator: ":", omittingEmptySubsequences: false).map { UInt64($0) }
        var status = stat()
        guard numbers.count == 2, let device = numbers[0], let inode = numbers[1], fstat(descriptor, &status) == 0
        else { return false }
        return UInt64(status.st_dev) == device && UInt64(status.st_ino) == inode
    }
}
