internal import Glibc

/// The datagram socket for messages to the service manager.
///
/// Source: sd_notify(3), "Standalone Implementations"; unix(7) for abstract names.
final class NotifySocket: Sendable {
    /// The bytes of `sun_path` without the zero byte at the end of a path.
    static let addressBytesMax = 107

    /// How long the service may wait while the manager's queue is full.
    private static let sendLimitSeconds = 2

    let address: String
    private let descriptor: Int32

    /// Opens a socket; the manager's socket need not exist yet.
    ///
    /// - Throws: ``SystemdError``.
    init(address: String) throws(SystemdError) {
        guard address.utf8.count > 1, address.utf8.count <= Self.addressBytesMax,
            address.hasPrefix("/") || address.hasPrefix("@"), !address.utf8.contains(0)
        else { throw .malformedAddress(address) }
        let descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw .callFailed(call: "socket()", address: address, errorNumber: errno) }
        var limit = timeval(tv_sec: Self.sendLimitSeconds, tv_usec: 0)
        unsafe setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        self.address = address
        self.descriptor = descriptor
    }

    deinit { close(descriptor) }

    /// Sends one datagram.
    ///
    /// - Throws: ``SystemdError/callFailed(call:address:errorNumber:)``; nothing was sent.
    func send(_ text: String) throws(SystemdError) {
        var target = sockaddr_un()
        target.sun_family = sa_family_t(AF_UNIX)
        var name = Array(address.utf8)
        let isAbstract = name[0] == UInt8(ascii: "@")
        // An abstract name begins with a zero byte and ends with the address. A path ends with a zero byte.
        if isAbstract { name[0] = 0 }
        unsafe withUnsafeMutableBytes(of: &target.sun_path) { unsafe $0.copyBytes(from: name) }
        let prefix = MemoryLayout<sockaddr_un>.offset(of: \.sun_path) ?? MemoryLayout<sa_family_t>.size
        let length = socklen_t(prefix + name.count + (isAbstract ? 0 : 1))
        let bytes = Array(text.utf8)
        let sent = unsafe withUnsafePointer(to: &target) { target in
            unsafe target.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe sendto(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL), $0, length)
            }
        }
        guard sent == bytes.count else {
            throw .callFailed(call: "sendto()", address: address, errorNumber: errno)
        }
    }
}
