import CSystemCalls
import Glibc
public import SystemPackage

/// The identity of an open file's object, its size and its modification time.
public struct ObjectStatus: Equatable, Sendable {
    /// The device that holds the object.
    public let device: UInt64
    /// The object's number on its device.
    public let inode: UInt64
    /// The object's size.
    public let byteCount: Int
    /// The modification time, in nanoseconds since 1970.
    public let modificationNanoseconds: Int64

    /// Whether a path's status is that of this object, without a write since; the object may have another name.
    public func isThat(of status: FileStatus) -> Bool {
        status.kind == .file && status.device == device && status.number == inode
            && status.byteCount == UInt64(byteCount) && status.contentChangedNanoseconds == modificationNanoseconds
    }
}

extension OpenedFile {
    /// Opens a regular file below the roots for reading.
    ///
    /// - Throws: The failed call, or what the path leads to.
    public init(reading path: FilePath, within roots: FileRoots) throws(Failure) {
        try self.init(path, for: .readOnly, within: roots)
    }

    /// Opens an existing regular file below the roots for reading and writing.
    ///
    /// - Throws: The failed call, or what the path leads to.
    public init(changing path: FilePath, within roots: FileRoots) throws(Failure) {
        try self.init(path, for: .readWrite, within: roots)
    }

    private init(
        _ path: FilePath, for mode: FileDescriptor.AccessMode, within roots: FileRoots
    ) throws(Failure) {
        let descriptor: Int32
        do throws(FileRootsError) { descriptor = try roots.open(path, for: mode).rawValue } catch {
            throw Failure(FileError(error))
        }
        do throws(Failure) {
            _ = try Self.status(of: descriptor, path)
        } catch {
            close(descriptor)
            throw error
        }
        self.init(taking: descriptor, path: path)
    }

    /// Creates a file for reading and writing.
    ///
    /// It must not exist yet; its permissions are 0666 less the umask.
    ///
    /// - Throws: The failed call.
    public init(creating path: FilePath) throws(Failure) {
        try self.init(opening: path, flags: O_RDWR | O_CREAT | O_EXCL)
    }

    /// Creates a file without a name for reading and writing; it ends with this object.
    ///
    /// A file system that has no such files gives it a name for a moment.
    ///
    /// - Throws: The failed call.
    public init(unnamedIn directory: FilePath) throws(Failure) {
        do throws(Failure) {
            try self.init(opening: directory, flags: O_RDWR | O_DIRECTORY | Int32(kfacd_unnamed_file))
        } catch {
            let path = directory.appending(".kfacd-unnamed-\(getpid())")
            try self.init(creating: path)
            _ = unsafe path.withPlatformString { unsafe unlink($0) }
        }
    }

    /// Opens a directory, so that ``synchronize()`` can make its entries durable.
    ///
    /// - Throws: The failed call.
    public init(directory path: FilePath) throws(Failure) {
        try self.init(opening: path, flags: O_RDONLY | O_DIRECTORY)
    }

    /// The file's identity, size and modification time.
    ///
    /// - Throws: The failed call, or ``FileError/notRegularFile(file:kind:)``.
    public func status() throws(Failure) -> ObjectStatus { try Self.status(of: descriptor, path) }

    private static func status(of descriptor: Int32, _ path: FilePath) throws(Failure) -> ObjectStatus {
        var status = stat()
        guard unsafe fstat(descriptor, &status) == 0 else { throw callFailed("fstat", path) }
        guard status.st_mode & S_IFMT == S_IFREG else {
            throw Failure(.notRegularFile(file: path, kind: kind(of: status)))
        }
        let nanoseconds = FileStatus.nanoseconds(Int64(status.st_mtim.tv_sec), Int64(status.st_mtim.tv_nsec))
        return ObjectStatus(
            device: UInt64(status.st_dev), inode: UInt64(status.st_ino), byteCount: Int(status.st_size),
            modificationNanoseconds: nanoseconds)
    }

    private static func kind(of status: stat) -> String {
        switch status.st_mode & S_IFMT {
        case S_IFDIR: "a directory"
        case S_IFIFO: "a pipe"
        case S_IFSOCK: "a socket"
        case S_IFCHR, S_IFBLK: "a device"
        default: "something else"
        }
    }
}

extension FileError {
    /// What is wrong with a path within its roots.
    public init(_ error: FileRootsError) {
        switch error {
        case .callFailed(let path, let call, let code): self = .callFailed(file: path, call: call, code: code)
        case .notFile(let path): self = .notRegularFile(file: path, kind: "a pipe, a socket or a device")
        case .outside, .unusableRoot, .tooManyNames: self = .outsideRoots(error)
        }
    }
}
