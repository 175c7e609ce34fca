import Glibc
import Testing

/// A TCP or local socket; it closes with its last reference, and no program that a test starts inherits it.
final class Socket: Sendable {
    let descriptor: Int32

    private init(_ descriptor: Int32) { self.descriptor = descriptor }

    deinit { close(descriptor) }

    private static let streamType = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)

    private static func stream() throws -> Socket {
        let descriptor = socket(AF_INET, streamType, 0)
        try #require(descriptor >= 0)
        return Socket(descriptor)
    }

    /// Listens on a port of loopback that the kernel chose.
    ///
    /// - Throws: what the requirement throws when the kernel refuses.
    static func listening() throws -> Socket {
        let socket = try stream()
        let status = withLoopback(0) { bind(socket.descriptor, $0, $1) }
        try #require(status == 0 && listen(socket.descriptor, 64) == 0)
        return socket
    }

    /// Whether a port of loopback is free to listen at.
    static func isFree(_ port: UInt16) -> Bool {
        guard let socket = try? stream() else { return false }
        return withLoopback(port) { bind(socket.descriptor, $0, $1) } == 0
    }

    /// The port of a listening socket.
    var port: UInt16 {
        var address = sockaddr_in()
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        _ = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(descriptor, $0, &size) }
        }
        return UInt16(bigEndian: address.sin_port)
    }

    /// A connection to a port of loopback, or `nil` when nobody listens there.
    static func connected(to port: UInt16) -> Socket? {
        guard let socket = try? stream() else { return nil }
        return withLoopback(port) { connect(socket.descriptor, $0, $1) } == 0 ? socket : nil
    }

    /// Makes the two ends of a pipe; bytes that are written to the second can be read from the first.
    ///
    /// - Throws: what the requirement throws when the kernel refuses.
    static func pair() throws -> (Socket, Socket) {
        var descriptors: [Int32] = [-1, -1]
        try #require(socketpair(AF_UNIX, streamType, 0, &descriptors) == 0)
        return (Socket(descriptors[0]), Socket(descriptors[1]))
    }

    /// The next waiting connection, if there is one.
    func accepted() -> Socket? {
        var poll = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        guard Glibc.poll(&poll, 1, 0) == 1 else { return nil }
        let connection = accept(descriptor, nil, nil)
        guard connection >= 0 else { return nil }
        _ = fcntl(connection, F_SETFD, FD_CLOEXEC)
        return Socket(connection)
    }

    /// The result of a call that does not wait.
    enum Outcome {
        case moved(Int)
        case ended
        case wouldBlock
        case broken

        fileprivate init(_ count: Int) {
            switch count {
            case 0: self = .ended
            case 1...: self = .moved(count)
            default: self = errno == EAGAIN || errno == EINTR ? .wouldBlock : .broken
            }
        }
    }

    /// Reads the available bytes.
    func read(into buffer: inout [UInt8]) -> Outcome {
        Outcome(
            buffer.withUnsafeMutableBytes { recv(descriptor, $0.baseAddress, $0.count, Int32(MSG_DONTWAIT)) })
    }

    /// Writes as many bytes as there is room for.
    func write(_ bytes: ArraySlice<UInt8>) -> Outcome {
        Outcome(
            bytes.withUnsafeBytes {
                send(descriptor, $0.baseAddress, $0.count, Int32(MSG_DONTWAIT) | Int32(MSG_NOSIGNAL))
            })
    }

    /// Tells the other end that nothing more comes.
    func endWriting() { shutdown(descriptor, Int32(SHUT_WR)) }

    /// Makes the kernel send a reset, not an orderly close, once the socket is closed.
    func resetOnClose() {
        var linger = linger(l_onoff: 1, l_linger: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &linger, socklen_t(MemoryLayout<Glibc.linger>.size))
    }

    private static func withLoopback<Result>(
        _ port: UInt16, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Result
    ) -> Result {
        let address = sockaddr_in(
            sin_family: sa_family_t(AF_INET), sin_port: port.bigEndian,
            sin_addr: in_addr(s_addr: UInt32(0x7F00_0001).bigEndian), sin_zero: (0, 0, 0, 0, 0, 0, 0, 0))
        return withUnsafePointer(to: address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                body($0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
    }
}
