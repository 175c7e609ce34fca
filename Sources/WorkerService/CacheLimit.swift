/// How many bytes of blobs a worker keeps.
public enum CacheLimit: Equatable, Sendable {
    /// What a user said.
    case bytes(UInt64)
    /// A quarter of the file system, or half of what is free there or held, whichever is less.
    ///
    /// Asked again whenever it leaves no room: a disk that was full when the worker began may have room now.
    case share

    /// The limit on a file system as it is now.
    func byteCount(total: UInt64, free: UInt64, held: UInt64) -> UInt64 {
        switch self {
        // So that sums of sizes cannot overflow.
        case .bytes(let count): min(count, UInt64(Int.max) / 2)
        case .share: min(total / 4, (free.addingReportingOverflow(held).partialValue) / 2)
        }
    }
}
