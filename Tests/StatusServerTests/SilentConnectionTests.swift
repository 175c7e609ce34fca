import Foundation
import Glibc
import Logging
import TestSupport
import Testing

@testable import StatusServer

/// The server over real sockets, with clients that misbehave.
@Suite(.timeLimit(.minutes(5))) struct SilentConnectionTests {
    @Test func `connections that ask nothing are ended, and the pages answer others`() async throws {
        let (addresses, sink) = AsyncStream.makeStream(of: StatusAddress.self)
        let source = StatusSource(
            version: [("version", "1")], healthProblems: { [] }, notReady: { nil }, metrics: { ("", "text/plain") },
            status: { "no job" }, sections: { [] })
        let server = StatusServer(
            address: try StatusAddress("127.0.0.1:0"), source: source, idleTimeout: .seconds(1),
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        ) { sink.yield($0) }
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await server.run() }
            let address = await addresses.first { _ in true }
            let port = try #require(address).port
            let (reply, silence) = try await Self.onThread {
                // As many as the server accepts at once. More wait in the kernel's queue.
                let silent = try (0..<StatusServer.connectionsMax).map { _ in try PlainConnection(to: port) }
                return (try Self.answer(at: port), try silent.map { try $0.untilEnd() })
            }
            #expect(reply.hasPrefix("HTTP/1.1 200 "))
            #expect(reply.hasSuffix("\r\n\r\nok\n"))
            let isSilent = silence.allSatisfy { $0.isEmpty }
            #expect(isSilent)
            group.cancelAll()
        }
    }

    /// The answer to a question about health.
    ///
    /// If the machine stands still between connection and question, the server ends this connection too.
    private static func answer(at port: Int) throws -> String {
        for attempt in 1...10 {
            do {
                let connection = try PlainConnection(to: port)
                try connection.send("GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
                let answer = try connection.untilEnd()
                if !answer.isEmpty { return answer }
            } catch  where attempt < 10 {
                continue
            }
        }
        return "ten connections were ended without an answer"
    }

    /// Runs a body that waits for sockets on a thread that the server does not need.
    private static func onThread<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value
    {
        try await withCheckedThrowingContinuation { continuation in
            Thread.detachNewThread { continuation.resume(with: Result { try body() }) }
        }
    }
}

/// A connection to a port of this machine.
private final class PlainConnection {
    private let descriptor: Int32

    /// A failed check; it is thrown because a thread of its own belongs to no test.
    struct Failure: Error {
        let reason: String
    }

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

    deinit { close(descriptor) }

    func send(_ text: String) throws {
        let bytes = Array(text.utf8)
        guard Glibc.send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL)) == bytes.count else {
            throw Failure(reason: "the request cannot be sent")
        }
    }

    /// The bytes that arrive until the other side ends the connection.
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
