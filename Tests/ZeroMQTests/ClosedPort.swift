import Glibc
import Testing
import ZeroMQ

/// A port of loopback at which nobody listens.
///
/// This process has the port to its end and does not listen there, so the kernel gives it to no other test.
enum ClosedPort {
    private static let number: UInt16? = {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_in(
            sin_family: sa_family_t(AF_INET), sin_port: 0, sin_addr: in_addr(s_addr: UInt32(0x7F00_0001).bigEndian),
            sin_zero: (0, 0, 0, 0, 0, 0, 0, 0))
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let status = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, size) + getsockname(descriptor, $0, &size)
            }
        }
        return status == 0 ? UInt16(bigEndian: address.sin_port) : nil
    }()

    /// The port's endpoint.
    ///
    /// - Throws: what the requirement throws when the kernel gives no port.
    static var endpoint: Endpoint {
        get throws { try Endpoint("tcp://127.0.0.1:\(try #require(number))") }
    }
}
