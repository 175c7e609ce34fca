import Glibc

/// Writing to standard output and standard error, whatever has become of them.
enum Descriptor {
    /// Writes bytes.
    ///
    /// - Parameters:
    ///   - bytes: What to write.
    ///   - descriptor: Where.
    ///   - patience: Milliseconds to wait for a reader that takes nothing; negative for as long as it takes.
    /// - Returns: The number of the error that kept something from being written, or 0.
    static func write(_ bytes: [UInt8], to descriptor: Int32, patience: Int32) -> Int32 {
        var rest = bytes[...]
        while !rest.isEmpty {
            var wait = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
            let ready = poll(&wait, 1, patience)
            if ready == 0 { return EAGAIN }
            if ready < 0, errno != EINTR { return errno }
            // So much fits into a pipe that can be written to at all: more could block.
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
