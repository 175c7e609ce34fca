import Glibc
import SystemPackage

/// A file descriptor with its path for error messages; it is closed when its owner goes away.
///
/// The module's system calls on open files are here. Interrupted calls are repeated; short ones are continued.
struct StoreFile: ~Copyable, Sendable {
    let descriptor: Int32
    let path: FilePath

    init(opening path: FilePath, flags: Int32) throws(BlobStoreError) {
        let descriptor = retryingInterrupts { path.withPlatformString { open($0, flags | O_CLOEXEC, 0o666) } }
        guard descriptor >= 0 else { throw callFailed("open", path) }
        self.descriptor = descriptor
        self.path = path
    }

    deinit { close(descriptor) }

    func byteCount() throws(BlobStoreError) -> Int {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw callFailed("fstat", path) }
        return Int(status.st_size)
    }

    /// Fills `destination` from `offset` on.
    ///
    /// Returns the bytes read, fewer than requested only at the end of the file.
    func read(at offset: Int, into destination: inout MutableRawSpan) throws(BlobStoreError) -> Int {
        let count = destination.withUnsafeMutableBytes { buffer in
            var count = 0
            while count < buffer.count {
                let rest = UnsafeMutableRawBufferPointer(rebasing: buffer[count...])
                let read = retryingInterrupts { pread(descriptor, rest.baseAddress, rest.count, offset + count) }
                guard read >= 0 else { return -1 }
                guard read > 0 else { break }
                count += read
            }
            return count
        }
        guard count >= 0 else { throw callFailed("pread", path) }
        return count
    }

    /// Writes all of `source` at `offset`.
    func write(_ source: RawSpan, at offset: Int) throws(BlobStoreError) {
        let isWritten = source.withUnsafeBytes { buffer in
            var count = 0
            while count < buffer.count {
                let rest = UnsafeRawBufferPointer(rebasing: buffer[count...])
                let written = retryingInterrupts { pwrite(descriptor, rest.baseAddress, rest.count, offset + count) }
                guard written >= 0 else { return false }
                count += written
            }
            return true
        }
        guard isWritten else { throw callFailed("pwrite", path) }
    }

    func synchronize() throws(BlobStoreError) {
        guard retryingInterrupts({ fsync(descriptor) }) == 0 else { throw callFailed("fsync", path) }
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
func callFailed(_ call: String, _ path: FilePath) -> BlobStoreError {
    let code = Errno(rawValue: errno)
    let isFull = code == .noSpace || code.rawValue == EDQUOT
    return isFull ? .diskFull(path: path, call: call) : .callFailed(path: path, call: call, code: code)
}
