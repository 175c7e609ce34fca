#if canImport(Glibc)
    import Glibc
#endif

/// Whether lines go to the journal, where they may begin with their priority.
///
/// `JOURNAL_STREAM` is inherited by children whose standard error leads elsewhere, so its device and inode are compared
/// with those of the descriptor. Source: systemd.exec(5).
enum JournalStream {
    /// Whether this process's standard error is the journal's.
    static let isStandardError: Bool = {
        guard let variable = getenv("JOURNAL_STREAM") else { return false }
        return isStream(String(cString: variable), descriptor: STDERR_FILENO)
    }()

    /// Whether a descriptor is what the variable names as `device:inode`.
    static func isStream(_ variable: String, descriptor: Int32) -> Bool {
        let numbers = variable.split(separator: ":", omittingEmptySubsequences: false).map { UInt64($0) }
        var status = stat()
        guard numbers.count == 2, let device = numbers[0], let inode = numbers[1], fstat(descriptor, &status) == 0
        else { return false }
        return UInt64(status.st_dev) == device && UInt64(status.st_ino) == inode
    }
}
