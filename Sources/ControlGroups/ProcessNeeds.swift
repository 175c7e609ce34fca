import Glibc

/// What a program's work takes of its process, held against the limits of the process (getrlimit(2)) before anything
/// is begun: a library that meets a limit in the middle ends in a trap, or stands still.
public struct ProcessNeeds: Equatable, Sendable {
    /// Threads of this process.
    public var threads: Int
    /// Threads of processes that it will start, which the same user's limit counts.
    public var childThreads: Int
    /// Bytes for everything but the threads' stacks.
    public var memoryBytes: UInt64

    /// Bytes of the largest file that is always written.
    public var fileBytes: UInt64

    /// The least that a daemon of ours works with: the journal's cache, messages under way, tiles of a matrix, and what
    /// the C library reserves.
    public static let daemonMemoryBytes: UInt64 = 512 << 20
    /// The journal's log and its index come to this before they are taken over.
    private static let daemonFileBytes: UInt64 = 8 << 20
    /// Threads of a daemon besides its lanes: of the runtime, of sockets, status pages, signals and disks.
    public static let daemonThreads = 24
    /// What any command takes.
    public static let command = ProcessNeeds(threads: 8, memoryBytes: 64 << 20)

    /// Names what is needed.
    public init(threads: Int, childThreads: Int = 0, memoryBytes: UInt64, fileBytes: UInt64 = 0) {
        (self.threads, self.childThreads) = (threads, childThreads)
        (self.memoryBytes, self.fileBytes) = (memoryBytes, fileBytes)
    }

    /// What a daemon takes that computes on so many lanes.
    public static func daemon(lanes: Int) -> ProcessNeeds {
        ProcessNeeds(threads: lanes + daemonThreads, memoryBytes: daemonMemoryBytes, fileBytes: daemonFileBytes)
    }

    /// What stands against it, as one sentence that names the limit, and what helps; `nil` when nothing does.
    public func problem() -> String? {
        memoryProblem(ProcessLimits.current(), stackBytes: Self.usualStackBytes)
            ?? fileProblem(ProcessLimits.soft(RLIMIT_FSIZE)) ?? ThreadAllowance.problem(needing: threads + childThreads)
    }

    /// What stands against the memory.
    func memoryProblem(_ limits: ProcessLimits, stackBytes: UInt64) -> String? {
        guard let (name, remedy, left) = limits.tightest else { return nil }
        let stacks = stackBytes.multipliedReportingOverflow(by: UInt64(threads)).partialValue
        let needed = memoryBytes + stacks
        guard left < needed else { return nil }
        return "the limit of \(name) leaves this process \(left >> 20) MiB; at least \(needed >> 20) are needed, "
            + "\(stacks >> 20) of them for the stacks of \(threads) threads. Raise it (\(remedy))."
    }

    /// What stands against the files.
    func fileProblem(_ limit: UInt64?) -> String? {
        guard let limit, limit < fileBytes else { return nil }
        return "the limit of file sizes allows \(limit) bytes; at least \(fileBytes) are needed. Raise it (ulimit -f, "
            + "LimitFSIZE)."
    }

    /// Bytes of a thread's stack unless somebody says otherwise: the libraries' threads have such ones.
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
