// Both modules, because either may own the types of sockets, which the library's header includes.
internal import CMicroHTTPD
internal import Glibc

/// A socket that listens at a numeric address.
struct ListeningSocket {
    /// Connections that wait in the kernel.
    private static let backlog: Int32 = 256

    let descriptor: Int32
    /// The port, which the kernel chose for port 0.
    let port: Int

    /// Opens the socket.
    ///
    /// - Throws: ``MicroHTTPDError``; nothing stays open.
    init(host: String, port: Int) throws(MicroHTTPDError) {
        var hints = unsafe addrinfo()
        unsafe hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV
        unsafe hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var found: UnsafeMutablePointer<addrinfo>?
        guard unsafe getaddrinfo(host, "\(port)", &hints, &found) == 0, let address = unsafe found?.pointee else {
            throw .malformedAddress(host: host)
        }
        defer { unsafe freeaddrinfo(found) }
        let kind = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
        descriptor = unsafe socket(address.ai_family, kind, 0)
        guard descriptor >= 0 else { throw .callFailed(call: "socket", errorNumber: errno) }
        do throws(MicroHTTPDError) {
            // A port whose last connections linger is free for a new server.
            var isReused: Int32 = 1
            unsafe setsockopt(
                descriptor, SOL_SOCKET, SO_REUSEADDR, &isReused, socklen_t(MemoryLayout<Int32>.size))
            guard unsafe bind(descriptor, address.ai_addr, address.ai_addrlen) == 0 else {
                throw .callFailed(call: "bind", errorNumber: errno)
            }
            guard listen(descriptor, Self.backlog) == 0 else { throw .callFailed(call: "listen", errorNumber: errno) }
            self.port = try Self.port(of: descriptor)
        } catch {
            close(descriptor)
            throw error
        }
    }

    private static func port(of descriptor: Int32) throws(MicroHTTPDError) -> Int {
        var address = sockaddr_in6()
        var count = socklen_t(MemoryLayout<sockaddr_in6>.size)
        let status = unsafe withUnsafeMutablePointer(to: &address) {
            unsafe $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { unsafe getsockname(descriptor, $0, &count) }
        }
        guard status == 0 else { throw .callFailed(call: "getsockname", errorNumber: errno) }
        // The port has the same place in an address of either family.
        return Int(UInt16(bigEndian: address.sin6_port))
    }
}
