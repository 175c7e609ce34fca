import Glibc
public import SystemPackage

/// What lies at a path, and what tells whether it was touched since.
public struct FileStatus: Equatable, Sendable {
    /// The kinds that matter here.
    public enum Kind: Equatable, Sendable {
        /// Bytes.
        case file
        /// A directory.
        case directory
        /// A symbolic link.
        case link
        /// A pipe, a socket or a device.
        case other
    }

    /// What it is.
    public let kind: Kind
    /// Bytes of a file.
    public let byteCount: UInt64
    /// Who owns it.
    public let owner: UInt32
    /// Permissions, with the set-group-id and sticky bits.
    public let mode: UInt32
    /// Which file system, and which file of it.
    public let device: UInt64
    /// The file's number in its file system.
    public let number: UInt64
    /// When content and attributes were changed last, in nanoseconds: nobody can set the second one.
    let changes: [Int64]

    /// Looks at a path; `nil` when nothing can be seen there.
    ///
    /// - Parameters:
    ///   - path: The path.
    ///   - followsLinks: Whether a link stands for what it leads to.
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
