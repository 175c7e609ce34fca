import CSystemCalls
import Glibc
public import SystemPackage

/// An open file descriptor, with its path for error messages.
///
/// It is closed at the end of its life. All system calls on open files are here: interrupted calls are repeated, and
/// short reads and writes are continued.
public struct OpenedFile<Failure: FileFailure>: ~Copyable, Sendable {
    /// The open descriptor.
    public let descriptor: Int32
    /// The path that the file was opened by.
    public let path: FilePath

    /// Takes ownership of an open descriptor.
    public init(taking descriptor: Int32, path: FilePath) {
        self.descriptor = descriptor
        self.path = path
    }

    /// Opens a file, or a directory with `O_DIRECTORY`; a new file has the permissions 0666 less the umask.
    ///
    /// - Throws: The failed call.
    public init(opening path: FilePath, flags: Int32) throws(Failure) {
        let descriptor = retryingInterrupts {
            unsafe path.withPlatformString { unsafe open($0, flags | O_CLOEXEC, 0o666) }
        }
        guard descriptor >= 0 else { throw callFailed("open", path) }
        self.init(taking: descriptor, path: path)
    }

    deinit { close(descriptor) }

    /// The file's size.
    ///
    /// - Throws: The failed call.
    public func byteCount() throws(Failure) -> Int {
        var status = stat()
        guard unsafe fstat(descriptor, &status) == 0 else { throw callFailed("fstat", path) }
        return Int(status.st_size)
    }

    /// Fills `destination` with the bytes from `offset`.
    ///
    /// - Returns: The number of bytes read; it is smaller than the request only at the end of the file.
    /// - Throws: The failed call. Bytes that were read before it stay in `destination`.
    public func read(at offset: Int, into destination: inout MutableRawSpan) throws(Failure) -> Int {
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

    /// Reads up to `count` bytes from `offset`.
    ///
    /// - Returns: The bytes; there are fewer than `count` only at the end of the file.
    /// - Throws: The failed call.
    public func bytes(at offset: Int, count: Int) throws(Failure) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        let read = try self.read(at: offset, into: &bytes)
        bytes.removeLast(count - read)
        return bytes
    }

    /// Reads a range in blocks of 1 MiB, in order; the last block may be smaller.
    ///
    /// A block of this size streams from the disk, and stays in the cache.
    ///
    /// - Parameters:
    ///   - range: The offsets; those after the end of the file are left out.
    ///   - body: Takes a block and its offset. When it returns false, the reading ends.
    /// - Returns: The offset after the last byte that `body` took.
    /// - Throws: The failed call, or what `body` throws.
    public func forEachBlock(
        in range: Range<Int> = 0..<Int.max, _ body: (_ block: RawSpan, _ offset: Int) throws(Failure) -> Bool
    ) throws(Failure) -> Int {
        var block = [UInt8](repeating: 0, count: min(1 << 20, range.count))
        var offset = range.lowerBound
        while offset < range.upperBound {
            let wanted = min(block.count, range.upperBound - offset)
            let count = min(wanted, try read(at: offset, into: &block))
            guard count > 0 else { break }
            let goesOn = try body(unsafe block.span.bytes.extracting(first: count), offset)
            offset += count
            guard goesOn, count == wanted else { break }
        }
        return offset
    }

    /// Fills the array with the bytes from `offset`; the result is the number of bytes read.
    private func read(at offset: Int, into bytes: inout [UInt8]) throws(Failure) -> Int {
        var span = bytes.mutableSpan
        var raw = unsafe span.mutableBytes
        return try read(at: offset, into: &raw)
    }

    /// Writes all of `source` at `offset`.
    ///
    /// - Throws: The failed call. Some bytes may be written.
    public func write(_ source: RawSpan, at offset: Int) throws(Failure) {
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
    ///
    /// - Throws: The failed call. The size is unchanged.
    public func resize(to byteCount: Int) throws(Failure) {
        guard retryingInterrupts({ ftruncate(descriptor, byteCount) }) == 0 else { throw callFailed("ftruncate", path) }
    }

    /// Reserves room for the whole file, if the file system can.
    ///
    /// Without enough room nothing is reserved. Then the writes fail that find no room.
    public func reserve() {
        guard let byteCount = try? byteCount(), byteCount > 0 else { return }
        guard retryingInterrupts({ kfacd_allocate(descriptor, Int64(byteCount)) }) != 0, errno == ENOSPC else { return }
        // The call may have taken what was left.
        if ftruncate(descriptor, 0) == 0 { _ = ftruncate(descriptor, byteCount) }
    }

    /// Asks the kernel to begin writing a range to the disk; a refusal is not an error.
    public func beginWriting(at offset: Int, count: Int) {
        _ = kfacd_begin_writing(descriptor, Int64(offset), Int64(count))
    }

    /// Makes a file's content and size durable, or a directory's names.
    ///
    /// - Throws: The failed call. The state of the file is then unknown.
    public func synchronize() throws(Failure) {
        do {
            try FileDescriptor(rawValue: descriptor).synchronize()
        } catch {
            throw Failure(call: "fsync", path: path, code: error)
        }
    }

    /// Asks the kernel to read a range ahead; a refusal is not an error.
    public func adviseWillNeed(at offset: Int, count: Int) {
        _ = posix_fadvise(descriptor, offset, count, POSIX_FADV_WILLNEED)
    }

    /// Asks the kernel for a larger read-ahead; this suits files that are read once from start to end.
    public func adviseSequential() {
        _ = posix_fadvise(descriptor, 0, 0, POSIX_FADV_SEQUENTIAL)
    }

    /// Locks the file against its other open descriptors; false if one of them holds the lock.
    ///
    /// - Throws: The failed call, for any other reason.
    public func lockExclusively() throws(Failure) -> Bool {
        if retryingInterrupts({ flock(descriptor, LOCK_EX | LOCK_NB) }) == 0 { return true }
        guard errno == EWOULDBLOCK else { throw callFailed("flock", path) }
        return false
    }
}

/// The error of the system call that just failed on this thread.
public func callFailed<Failure: FileFailure>(_ call: String, _ path: FilePath) -> Failure {
    Failure(call: call, path: path, code: Errno(rawValue: errno))
}
