/// The number of bytes that all runs together may have.
public enum RunQuota: Equatable, Sendable {
    /// The number that a user set.
    case bytes(UInt64)
    /// A quarter of the file system, or half of its free bytes and those of runs, whichever is less.
    ///
    /// The share is computed again for each push.
    case share

    /// The limit on a file system as it is now.
    func byteCount(total: UInt64, free: UInt64, held: UInt64) -> UInt64 {
        switch self {
        // Clamped, so that sums of sizes cannot overflow.
        case .bytes(let count): min(count, UInt64(Int.max) / 2)
        case .share: min(total / 4, free.addingReportingOverflow(held).partialValue / 2)
        }
    }
}
