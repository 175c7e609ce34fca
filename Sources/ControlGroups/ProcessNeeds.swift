import CProgramStart
import Glibc

/// The resources that a program's work needs, checked against the limits of the process (getrlimit(2)).
///
/// The check comes before the work, because a library that meets a limit later may trap or hang.
public struct ProcessNeeds: Equatable, Sendable {
    /// Threads of this process.
    public var threads: Int
    /// Threads of processes that it will start, which the same user's limit counts.
    public var childThreads: Int
    /// Bytes for everything except the threads' stacks.
    public var memoryBytes: UInt64

    /// Bytes of the largest file that the program always writes.
    public var fileBytes: UInt64

    /// The least memory of a daemon: the journal's cache, messages in transit, tiles of a matrix, and the reserve of
    /// the C library.
    public static let daemonMemoryBytes: UInt64 = 512 << 20
    /// The journal's write-ahead log and its index grow to this size before a checkpoint.
    private static let daemonFileBytes: UInt64 = 8 << 20
    /// Threads of a daemon besides its lanes: for the runtime, sockets, status pages, signals and disks.
    public static let daemonThreads = 24
    /// The needs of a command, whose threads the start of the program has tried.
    public static let command = ProcessNeeds(threads: Int(kfacd_tried_threads()), memoryBytes: 64 << 20)

    /// Describes needs.
    public init(threads: Int, childThreads: Int = 0, memoryBytes: UInt64, fileBytes: UInt64 = 0) {
        (self.threads, self.childThreads) = (threads, childThreads)
        (self.memoryBytes, self.fileBytes) = (memoryBytes, fileBytes)
    }

    /// The needs of a daemon that computes on a number of lanes.
    public static func daemon(lanes: Int) -> ProcessNeeds {
        ProcessNeeds(threads: lanes + daemonThreads, memoryBytes: daemonMemoryBytes, fileBytes: daemonFileBytes)
    }

    /// The first limit that is too small, in a sentence that names it and the remedy; `nil` if all limits suffice.
    public func problem() -> String? {
        memoryProblem(ProcessLimits.current(), stackBytes: Self.usualStackBytes)
            ?? fileProblem(ProcessLimits.soft(RLIMIT_FSIZE)) ?? ThreadAllowance.problem(needing: threads + childThreads)
    }

    /// The problem with the memory, or `nil`.
    func memoryProblem(_ limits: ProcessLimits, stackBytes: UInt64) -> String? {
        guard let (name, remedy, left) = limits.tightest else { return nil }
        let stacks = stackBytes.multipliedReportingOverflow(by: UInt64(threads)).partialValue
        let needed = memoryBytes + stacks
        guard left < needed else { return nil }
        return "the limit of \(name) leaves this process \(left >> 20) MiB; at least \(needed >> 20) are needed, "
            + "\(stacks >> 20) of them for the stacks of \(threads) threads. Raise it (\(remedy))."
    }

    /// The problem with file sizes, or `nil`.
    func fileProblem(_ limit: UInt64?) -> String? {
        guard let limit, limit < fileBytes else { return nil }
        return "the limit of file sizes allows \(limit) bytes; at least \(fileBytes) are needed. Raise it (ulimit -f, "
            + "LimitFSIZE)."
    }

    /// Bytes of a thread's stack by default; the threads of libraries have this size.
    private static let usualStackBytes: UInt64 = {
        let attributes = UnsafeMutablePointer<pthread_attr_t>.allocate(capacity: 1)
        defer { attributes.deallocate() }
        var byteCount = 0
        guard pthread_attr_init(attributes) == 0 else { return 8 << 20 }
        defer { pthread_attr_destroy(attributes) }
        guard pthread_attr_getstacksize(attributes, &byteCount) == 0 else { return 8 << 20 }
        return UInt64(byteCount)
    }()
}
