import Foundation
import Glibc
import TestSupport

/// A connection to a port of this machine.
final class PlainConnection {
    private let descriptor: Int32

    /// A failed check; it is thrown because a thread of its own belongs to no test.
    struct Failure: Error {
        /// What failed.
        let reason: String
    }

    /// Connects, and sends nothing.
    ///
    /// - Throws: ``Failure`` when nobody listens.
    init(to port: Int) throws {
        let opened = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        descriptor = opened
        // Far more time than the server has. A wait that reaches it shows the mistake.
        var limit = timeval(tv_sec: 60, tv_usec: 0)
        setsockopt(opened, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = UInt16(port).bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        let status = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(opened, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard status == 0 else { throw Failure(reason: "nobody listens at port \(port)") }
    }

    /// Runs a body that waits for sockets on a thread of its own, because tests share few threads.
    ///
    /// - Throws: What the body throws.
    static func onThread<Value: Sendable>(
        _ body: @escaping @Sendable () throws -> Value
    ) async throws -> Value {
        try await withCheckedThrowingContinuation { continuation in
            Thread.detachNewThread { continuation.resume(with: Result { try body() }) }
        }
    }

    deinit { close(descriptor) }

    /// Sends a text.
    ///
    /// - Throws: ``Failure`` when the other side does not take it.
    func send(_ text: String) throws {
        let bytes = Array(text.utf8)
        guard Glibc.send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL)) == bytes.count else {
            throw Failure(reason: "the request cannot be sent")
        }
    }

    /// The text that arrives until the other side ends the connection.
    ///
    /// - Throws: ``Failure`` after a minute of silence.
    func untilEnd() throws -> String {
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 1 << 14)
        while true {
            let count = uninterrupted { recv(descriptor, &buffer, buffer.count, 0) }
            guard count >= 0 else { throw Failure(reason: "the server neither answers nor ends the connection") }
            guard count > 0 else { break }
            bytes += buffer.prefix(count)
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
