import FileAccess
import Glibc
import SystemPackage

/// An open file with the errors of this module.
typealias OpenFile = OpenedFile<SafetensorsError>

/// The identity of an open file's object, its size and its modification time.
struct ObjectStatus: Equatable {
    let device: UInt64
    let inode: UInt64
    let byteCount: Int
    let modificationNanoseconds: Int64
}

extension OpenedFile where Failure == SafetensorsError {
    /// Opens a regular file below the roots for reading.
    init(reading path: FilePath, within roots: FileRoots) throws(SafetensorsError) {
        let descriptor = try within(roots) { roots throws(FileRootsError) in try roots.open(path).rawValue }
        do throws(SafetensorsError) {
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
    init(creating path: FilePath) throws(SafetensorsError) {
        try self.init(opening: path, flags: O_RDWR | O_CREAT | O_EXCL)
    }

    /// Opens a directory, so that ``synchronize()`` can make its entries durable.
    init(directory path: FilePath) throws(SafetensorsError) {
        try self.init(opening: path, flags: O_RDONLY | O_DIRECTORY)
    }

    /// The file's size and modification time; throws for anything but a regular file.
    func status() throws(SafetensorsError) -> ObjectStatus { try Self.status(of: descriptor, path) }

    private static func status(of descriptor: Int32, _ path: FilePath) throws(SafetensorsError) -> ObjectStatus {
        var status = stat()
        guard unsafe fstat(descriptor, &status) == 0 else { throw callFailed("fstat", path) }
        guard status.st_mode & S_IFMT == S_IFREG else { throw .notRegularFile(file: path, kind: kind(of: status)) }
        let seconds = Int64(status.st_mtim.tv_sec)
        let (whole, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        // A time beyond the year 2262 still identifies the file by its seconds.
        let nanoseconds = overflow ? seconds : whole &+ Int64(status.st_mtim.tv_nsec)
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

/// Runs a body within roots, and turns their errors into this module's errors.
func within<Value>(
    _ roots: FileRoots, _ body: (FileRoots) throws(FileRootsError) -> Value
) throws(SafetensorsError) -> Value {
    do {
        return try body(roots)
    } catch {
        switch error {
        case .callFailed(let path, let call, let code): throw .callFailed(file: path, call: call, code: code)
        case .notFile(let path): throw .notRegularFile(file: path, kind: "a pipe, a socket or a device")
        case .outside, .unusableRoot, .tooManyNames: throw .outsideRoots(error)
        }
    }
}
