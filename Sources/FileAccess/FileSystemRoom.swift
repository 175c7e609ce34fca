import Glibc
public import SystemPackage

/// The size of a file system, and what is free there.
public struct FileSystemRoom: Equatable, Sendable {
    /// All bytes.
    public let total: UInt64
    /// Free bytes for this process.
    public let free: UInt64

    /// Asks the file system of a path.
    ///
    /// - Throws: The failed call.
    public init(of path: FilePath) throws(FileError) {
        var status = statvfs()
        guard unsafe path.withPlatformString({ unsafe statvfs($0, &status) }) == 0 else {
            throw callFailed("statvfs", path)
        }
        func bytes(_ blocks: UInt) -> UInt64 {
            let (bytes, overflow) = UInt64(blocks).multipliedReportingOverflow(by: UInt64(status.f_frsize))
            return overflow ? .max : bytes
        }
        (total, free) = (bytes(status.f_blocks), bytes(status.f_bavail))
    }
}
