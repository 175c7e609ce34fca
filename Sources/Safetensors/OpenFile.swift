import FileAccess
import Glibc
import SystemPackage

/// A file descriptor with its path for error messages; it is closed when its owner goes away.
///
/// All system calls of the module on open files are here. Interrupted calls are repeated; short ones are continued.
struct OpenFile: ~Copyable, Sendable {
    let descriptor: Int32
    let path: FilePath

    /// The identity of an open file's object, its size and its modification time.
    struct Status: Equatable {
        let device: UInt64
        let inode: UInt64
        let byteCount: Int
        let modificationNanoseconds: Int64
    }

    private init(descriptor: Int32, path: FilePath) {
        self.descriptor = descriptor
        self.path = path
    }

    deinit { close(descriptor) }

    /// Opens a regular file below the roots for reading.
    init(reading path: FilePath, within roots: FileRoots) throws(SafetensorsError) {
        let descriptor = try within(roots) { roots throws(FileRootsError) in try roots.open(path).rawValue }
        do throws(SafetensorsError) {
            _ = try Self.status(of: descriptor, path)
        } catch {
            close(descriptor)
            throw error
        }
        self.init(descriptor: descriptor, path: path)
    }

    /// Creates a file for reading and writing.
    ///
    /// It must not exist yet; its permissions are 0666 less the umask.
    init(creating path: FilePath) throws(SafetensorsError) {
        let descriptor = try openedDescriptor(path, flags: O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC)
        self.init(descriptor: descriptor, path: path)
    }

    /// Opens a directory, so that ``synchronize()`` can make its entries durable.
    init(directory path: FilePath) throws(SafetensorsError) {
        let descriptor = try openedDescriptor(path, flags: O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        self.init(descriptor: descriptor, path: path)
    }

    /// The file's size and modification time; throws for anything but a regular file.
    func status() throws(SafetensorsError) -> Status {
        try Self.status(of: descriptor, path)
    }

    private static func status(of descriptor: Int32, _ path: FilePath) throws(SafetensorsError) -> Status {
        var status = stat()
        guard unsafe fstat(descriptor, &status) == 0 else { throw callFailed("fstat", path) }
        guard status.st_mode & S_IFMT == S_IFREG else { throw .notRegularFile(file: path, kind: kind(of: status)) }
        let seconds = Int64(status.st_mtim.tv_sec)
        let (whole, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        // A time beyond the year 2262 still identifies the file by its seconds.
        let nanoseconds = overflow ? seconds : whole &+ Int64(status.st_mtim.tv_nsec)
        return Status(
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

    /// Fills `destination` from `offset` on.
    ///
    /// Returns the bytes read, fewer than requested only at the end of the file.
    func read(at offset: Int, into destination: inout MutableRawSpan) throws(SafetensorsError) -> Int {
        let count = unsafe destination.withUnsafeMutableBytes { buffer in
            var count = 0
            while count < buffer.count {
                let rest = unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[count...])
                let read = retryingInterrupts {
                    unsafe pread(descriptor, rest.baseAddress, rest.count, offset + count)
                }
                guard read >= 0 else { return -1 }
                guard read > 0 else { break }
                count += read
            }
            return count
        }
        guard count >= 0 else { throw callFailed("pread", path) }
        return count
    }

    /// Reads up to `count` bytes from `offset` on into an array; shorter only at the end of the file.
    func bytes(at offset: Int, count: Int) throws(SafetensorsError) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        var span = bytes.mutableSpan
        var raw = unsafe span.mutableBytes
        let read = try self.read(at: offset, into: &raw)
        bytes.removeLast(count - read)
        return bytes
    }

    /// Writes all of `source` at `offset`.
    func write(_ source: RawSpan, at offset: Int) throws(SafetensorsError) {
        let isWritten = unsafe source.withUnsafeBytes { buffer in
            var count = 0
            while count < buffer.count {
                let rest = unsafe UnsafeRawBufferPointer(rebasing: buffer[count...])
                let written = retryingInterrupts {
                    unsafe pwrite(descriptor, rest.baseAddress, rest.count, offset + count)
                }
                guard written >= 0 else { return false }
                count += written
            }
            return true
        }
        guard isWritten else { throw callFailed("pwrite", path) }
    }

    /// Sets the file's size; new bytes read as zeros and take no room yet.
    func resize(to byteCount: Int) throws(SafetensorsError) {
        guard retryingInterrupts({ ftruncate(descriptor, byteCount) }) == 0 else { throw callFailed("ftruncate", path) }
    }

    /// Makes content and size durable; for a directory, its entries.
    func synchronize() throws(SafetensorsError) {
        guard retryingInterrupts({ fsync(descriptor) }) == 0 else { throw callFailed("fsync", path) }
    }

    /// Asks the kernel to read a range ahead; a refusal is not an error.
    func adviseWillNeed(at offset: Int, count: Int) {
        _ = posix_fadvise(descriptor, offset, count, POSIX_FADV_WILLNEED)
    }

    /// Asks the kernel for larger read-ahead, for files that are read once from start to end.
    func adviseSequential() {
        _ = posix_fadvise(descriptor, 0, 0, POSIX_FADV_SEQUENTIAL)
    }

    /// Locks the file against its other open descriptors; false when another one holds the lock.
    func lockExclusively() -> Bool {
        retryingInterrupts { flock(descriptor, LOCK_EX | LOCK_NB) } == 0
    }
}

private func openedDescriptor(_ path: FilePath, flags: Int32) throws(SafetensorsError) -> Int32 {
    let descriptor = retryingInterrupts { unsafe path.withPlatformString { unsafe open($0, flags, 0o666) } }
    guard descriptor >= 0 else { throw callFailed("open", path) }
    return descriptor
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

/// Repeats a system call while signals interrupt it.
func retryingInterrupts<Value: FixedWidthInteger & SignedInteger>(_ call: () -> Value) -> Value {
    while true {
        let value = call()
        if value == -1, errno == EINTR { continue }
        return value
    }
}

/// The error of the system call that just failed on this thread.
func callFailed(_ call: String, _ file: FilePath) -> SafetensorsError {
    let code = Errno(rawValue: errno)
    let isFull = code == .noSpace || code.rawValue == EDQUOT
    return isFull ? .diskFull(file: file, call: call) : .callFailed(file: file, call: call, code: code)
}
