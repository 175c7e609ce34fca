internal import CZeroMQ
internal import Glibc

/// A connection of a socket, by TCP or on this machine; libzmq owns it and names it by its descriptor only.
///
/// libzmq may have closed the descriptor, and its number may belong to another connection. So this value remembers the
/// kernel's own number of the connection, and compares it before every act.
struct PeerConnection: Equatable {
    /// The host name of peers that connect by a socket in the file system.
    static let localHost = "this machine"

    let descriptor: Int32
    /// The peer's address, without its port.
    let host: String
    /// The kernel's number of the connection, unique while the kernel runs (`SO_COOKIE`).
    private let cookie: UInt64

    /// Finds the connection of a descriptor; `nil` when the descriptor has none.
    init?(descriptor: Int32) {
        guard descriptor >= 0, let cookie = Self.cookie(of: descriptor), let host = Self.host(of: descriptor) else {
            return nil
        }
        self.descriptor = descriptor
        self.host = host
        self.cookie = cookie
    }

    /// Bytes that the kernel received on this connection, whether libzmq has read them or not; `nil` when the
    /// connection is gone or does not use TCP.
    var receivedBytes: UInt64? { ConnectionBytes(of: descriptor)?.received }

    /// Ends the connection, unless the descriptor now belongs to another; the peer may connect again.
    func hangUp() {
        guard Self.cookie(of: descriptor) == cookie else { return }
        shutdown(descriptor, Int32(SHUT_RDWR))
    }

    /// Whether the connection belongs to a bound endpoint: for TCP, whether it came to the endpoint's port.
    func isMade(to endpoint: Endpoint) -> Bool {
        guard let port = endpoint.port else { return host == Self.localHost }
        var address = sockaddr_storage()
        var size = socklen_t(MemoryLayout<sockaddr_storage>.size)
        return unsafe withUnsafeMutablePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe getsockname(descriptor, $0, &size) == 0
            }
                // The port is at the same place for both versions of IP (sockaddr_in, sockaddr_in6).
                && pointer.withMemoryRebound(to: sockaddr_in.self, capacity: 1) {
                    unsafe UInt16(bigEndian: $0.pointee.sin_port) == port
                }
        }
    }

    private static func cookie(of descriptor: Int32) -> UInt64? {
        var cookie: UInt64 = 0
        var size = socklen_t(MemoryLayout<UInt64>.size)
        guard unsafe getsockopt(descriptor, SOL_SOCKET, SO_COOKIE, &cookie, &size) == 0 else { return nil }
        return cookie
    }

    private static func host(of descriptor: Int32) -> String? {
        var address = sockaddr_storage()
        var size = socklen_t(MemoryLayout<sockaddr_storage>.size)
        var host = [CChar](repeating: 0, count: Int(NI_MAXHOST))
        return unsafe withUnsafeMutablePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                guard unsafe getpeername(descriptor, address, &size) == 0 else { return nil }
                if unsafe Int32(address.pointee.sa_family) == AF_UNIX { return localHost }
                guard
                    unsafe [AF_INET, AF_INET6].contains(Int32(address.pointee.sa_family)),
                    unsafe getnameinfo(
                        address, size, &host, socklen_t(host.count), nil, 0, NI_NUMERICHOST) == 0
                else { return nil }
                return String(decoding: host.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
            }
        }
    }
}

/// The kernel's counts of a TCP connection.
struct ConnectionBytes {
    /// Bytes received, read or not.
    let received: UInt64
    /// Bytes handed to the kernel, sent or not.
    let sent: UInt64

    /// Asks the kernel; `nil` for a descriptor that is not a TCP connection.
    ///
    /// Source: `tcpi_bytes_received` (RFC 4898, tcpEStatsAppHCThruOctetsReceived), `tcpi_notsent_bytes`,
    /// `tcpi_bytes_sent` and `tcpi_bytes_retrans` in linux/tcp.h. The fields are read by their offsets, which the
    /// kernel keeps: glibc's declaration of the structure ends before them.
    init?(of descriptor: Int32) {
        let places = (received: 128, unsent: 144, sent: 200, repeated: 208)
        var information = [UInt8](repeating: 0, count: places.repeated + MemoryLayout<UInt64>.size)
        var size = socklen_t(information.count)
        guard unsafe getsockopt(descriptor, Int32(IPPROTO_TCP), TCP_INFO, &information, &size) == 0,
            Int(size) == information.count
        else { return nil }
        func number<Number: FixedWidthInteger>(at place: Int, _: Number.Type) -> UInt64 {
            unsafe information.withUnsafeBytes {
                UInt64(truncatingIfNeeded: unsafe $0.loadUnaligned(fromByteOffset: place, as: Number.self))
            }
        }
        received = number(at: places.received, UInt64.self)
        let sentOnce = number(at: places.sent, UInt64.self) &- number(at: places.repeated, UInt64.self)
        sent = sentOnce &+ number(at: places.unsent, UInt32.self)
    }
}
