internal import Glibc

/// A TCP connection of a socket, which libzmq owns and names by its descriptor only.
///
/// The descriptor may be closed by now, and its number be another connection's. So the peer's address and port are
/// remembered from when the connection began, and compared before anything is done.
struct TCPConnection: Equatable {
    let descriptor: Int32
    /// The peer's address, without its port.
    let host: String
    /// The peer's port.
    let port: String

    /// Finds out whose connection a descriptor is; `nil` when it is none by TCP.
    init?(descriptor: Int32) {
        guard descriptor >= 0, let peer = Self.peer(of: descriptor) else { return nil }
        self.descriptor = descriptor
        (host, port) = peer
    }

    /// Bytes that the kernel has taken in on this connection, read by libzmq or not; `nil` when it is gone.
    ///
    /// Source: `tcpi_bytes_received` (RFC 4898, tcpEStatsAppHCThruOctetsReceived) in linux/tcp.h.
    var receivedBytes: UInt64? { Self.receivedBytes(of: descriptor) }

    /// The same, of a connection's descriptor.
    static func receivedBytes(of descriptor: Int32) -> UInt64? {
        // By its place, which the kernel keeps: glibc's declaration of the structure ends before it.
        let offset = 128
        var information = [UInt8](repeating: 0, count: offset + MemoryLayout<UInt64>.size)
        var size = socklen_t(information.count)
        guard unsafe getsockopt(descriptor, Int32(IPPROTO_TCP), TCP_INFO, &information, &size) == 0,
            Int(size) == information.count
        else { return nil }
        return unsafe information.withUnsafeBytes { unsafe $0.loadUnaligned(fromByteOffset: offset, as: UInt64.self) }
    }

    /// Ends the connection, if it is still the one that it was; its peer may connect again.
    func hangUp() {
        guard let now = TCPConnection(descriptor: descriptor), now == self else { return }
        shutdown(descriptor, Int32(SHUT_RDWR))
    }

    private static func peer(of descriptor: Int32) -> (host: String, port: String)? {
        var address = sockaddr_storage()
        var size = socklen_t(MemoryLayout<sockaddr_storage>.size)
        var host = [CChar](repeating: 0, count: Int(NI_MAXHOST))
        var port = [CChar](repeating: 0, count: Int(NI_MAXSERV))
        let isKnown = unsafe withUnsafeMutablePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                unsafe getpeername(descriptor, address, &size) == 0
                    && [AF_INET, AF_INET6].contains(Int32(address.pointee.sa_family))
                    && getnameinfo(
                        address, size, &host, socklen_t(host.count), &port, socklen_t(port.count),
                        NI_NUMERICHOST | NI_NUMERICSERV) == 0
            }
        }
        guard isKnown else { return nil }
        return (text(host), text(port))
    }

    private static func text(_ characters: [CChar]) -> String {
        String(decoding: characters.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
