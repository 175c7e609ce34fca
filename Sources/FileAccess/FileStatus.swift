import Glibc
public import SystemPackage

/// The object at a path, with the values that show whether it was changed.
public struct FileStatus: Equatable, Sendable {
    /// The kinds that are distinguished here.
    public enum Kind: Equatable, Sendable {
        /// A regular file.
        case file
        /// A directory.
        case directory
        /// A symbolic link.
        case link
        /// A pipe, a socket or a device.
        case other
    }

    /// The kind of object.
    public let kind: Kind
    /// The size of a file in bytes.
    public let byteCount: UInt64
    /// The owner's user number.
    public let owner: UInt32
    /// Permissions, with the set-group-id and sticky bits.
    public let mode: UInt32
    /// The number of the file system.
    public let device: UInt64
    /// The file's number in its file system.
    public let number: UInt64
    /// The times of the last change of content and of attributes, in nanoseconds.
    ///
    /// No user can set the second one.
    let changes: [Int64]

    /// The time of the last change of content, in nanoseconds since 1970, as ``ObjectStatus`` has it.
    var contentChangedNanoseconds: Int64 { Self.nanoseconds(changes[0], changes[1]) }

    /// A time as nanoseconds; one beyond the year 2262 still identifies a file by its seconds.
    static func nanoseconds(_ seconds: Int64, _ rest: Int64) -> Int64 {
        let (whole, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        return overflow ? seconds : whole &+ rest
    }

    /// The time of the last change of content, in seconds since 1970.
    public var contentChangedAt: Double { Double(changes[0]) + Double(changes[1]) / 1e9 }

    /// Reads the status of a path; `nil` when nothing is visible there.
    ///
    /// - Parameters:
    ///   - path: The path.
    ///   - followsLinks: Whether a link counts as its target.
    public init?(of path: FilePath, followsLinks: Bool = false) {
        var status = stat()
        let call = unsafe followsLinks ? stat : lstat
        guard unsafe path.withPlatformString({ unsafe call($0, &status) }) == 0 else { return nil }
        self.init(status)
    }

    private init(_ status: stat) {
        kind =
            switch status.st_mode & S_IFMT {
            case S_IFREG: .file
            case S_IFDIR: .directory
            case S_IFLNK: .link
            default: .other
            }
        byteCount = UInt64(max(0, status.st_size))
        owner = status.st_uid
        mode = status.st_mode & 0o7777
        device = UInt64(status.st_dev)
        number = UInt64(status.st_ino)
        changes = [status.st_mtim, status.st_ctim].flatMap { [Int64($0.tv_sec), Int64($0.tv_nsec)] }
    }
}
