import Glibc

/// Writes to standard output and standard error, also when they are closed or blocked.
enum Descriptor {
    /// Writes bytes.
    ///
    /// - Parameters:
    ///   - bytes: The bytes to write.
    ///   - descriptor: The descriptor to write to.
    ///   - patience: Milliseconds to wait for a reader that takes nothing; negative to wait without limit.
    /// - Returns: The number of the error that stopped the write, or 0.
    static func write(_ bytes: [UInt8], to descriptor: Int32, patience: Int32) -> Int32 {
        var rest = bytes[...]
        while !rest.isEmpty {
            var wait = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
            let ready = poll(&wait, 1, patience)
            if ready == 0 { return EAGAIN }
            if ready < 0, errno != EINTR { return errno }
            // A writable pipe always has room for this much; a longer write could block.
            let count = patience < 0 ? rest.count : min(rest.count, Int(PIPE_BUF))
            let written = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, min(count, $0.count)) }
            if written > 0 {
                rest = rest.dropFirst(written)
            } else if written == 0 || errno != EINTR && errno != EAGAIN {
                return written == 0 ? EIO : errno
            }
        }
        return 0
    }
}
