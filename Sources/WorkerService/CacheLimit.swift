/// The number of bytes of blobs that a worker may keep.
public enum CacheLimit: Equatable, Sendable {
    /// The number that a user set.
    case bytes(UInt64)
    /// A quarter of the file system, or half of its free and cached bytes, whichever is less.
    ///
    /// The share is computed again whenever it leaves no room: a disk that was full at the start may have room now.
    case share

    /// The limit on an empty file system: the most that it can ever be.
    func most(total: UInt64) -> UInt64 {
        switch self {
        case .bytes: byteCount(total: total, free: total, held: 0)
        case .share: total / 4
        }
    }

    /// The limit on a file system as it is now.
    func byteCount(total: UInt64, free: UInt64, held: UInt64) -> UInt64 {
        switch self {
        // Clamped, so that sums of sizes cannot overflow.
        case .bytes(let count): min(count, UInt64(Int.max) / 2)
        case .share: min(total / 4, (free.addingReportingOverflow(held).partialValue) / 2)
        }
    }
}
