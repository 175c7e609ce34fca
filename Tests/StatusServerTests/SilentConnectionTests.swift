import Glibc
import Testing

@testable import MicroHTTPD
@testable import StatusServer

/// The server over real sockets, with clients that misbehave.
@Suite(.timeLimit(.minutes(5))) struct SilentConnectionTests {
    @Test func `connections that ask nothing are ended, and the pages answer others`() async throws {
        let (addresses, sink) = AsyncStream.makeStream(of: StatusAddress.self)
        let source = StatusSource(
            version: [("version", "1")], healthProblems: { [] }, notReady: { nil }, metrics: { ("", "text/plain") },
            status: { "no job" }, sections: { [] })
        let server = StatusServer(
            address: try StatusAddress("127.0.0.1:0"), source: source, idleTimeout: .seconds(1)
        ) { sink.yield($0) }
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await server.run() }
            let address = await addresses.first { _ in true }
            let port = try #require(address).port
            let (reply, silence) = try await PlainConnection.onThread {
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

    @Test func `a connection that never ends its request is ended, however lively it is`() async throws {
        let server = try HTTPServer(
            host: "127.0.0.1", port: 0, connectionsMax: 1, idleTimeout: .seconds(300), requestLimit: .seconds(1)
        ) { HTTPResponse(status: 200, headers: [:], body: $0.path) }
        defer { server.stop() }
        let port = server.port
        let (sentBytes, answer) = try await PlainConnection.onThread {
            let dripping = try PlainConnection(to: port)
            try dripping.send("GET /")
            var count = 0
            // The first byte after the end is answered by a reset, so a later one cannot be sent.
            while count < 10_000, (try? dripping.send("a")) != nil {
                count += 1
                usleep(20_000)
            }
            // The server takes one connection at a time, so it has ended the first.
            return (count, try Self.answer(at: port, "/next"))
        }
        #expect(sentBytes > 0 && sentBytes < 10_000)
        #expect(answer.hasSuffix("\r\n\r\n/next"))
    }

    @Test func `each request of a connection has its own time, and a later connection of the socket too`() throws {
        var sockets: [Int32] = [0, 0]
        try #require(socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &sockets) == 0)
        defer { sockets.forEach { close($0) } }
        let connections = OpenConnections(requestLimit: .seconds(10))
        let start = ContinuousClock.now
        connections.announce()
        let first = connections.begin(sockets[0], at: start)
        #expect(connections.count == 1)
        #expect(connections.judge(first, at: start + .seconds(4)) == .seconds(6))
        connections.renew(sockets[0], at: start + .seconds(9))
        #expect(connections.judge(first, at: start + .seconds(10)) == .seconds(9))
        connections.end(sockets[0])
        #expect(connections.count == 0)
        connections.announce()
        let second = connections.begin(sockets[0], at: start + .seconds(30))
        // The first one is gone, and must not end the second.
        #expect(connections.judge(first, at: start + .seconds(35)) == nil)
        #expect(connections.judge(second, at: start + .seconds(35)) == .seconds(5))
        var byte: UInt8 = 0
        #expect(recv(sockets[1], &byte, 1, Int32(MSG_DONTWAIT)) == -1)
        #expect(connections.judge(second, at: start + .seconds(40)) == nil)
        #expect(recv(sockets[1], &byte, 1, Int32(MSG_DONTWAIT)) == 0)
    }

    private static let attemptsMax = 100

    /// The answer to a question.
    ///
    /// If the machine stands still between connection and question, the server ends this connection too.
    private static func answer(at port: Int, _ path: String = "/healthz") throws -> String {
        for attempt in 1...attemptsMax {
            do {
                let connection = try PlainConnection(to: port)
                try connection.send("GET \(path) HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
                let answer = try connection.untilEnd()
                if !answer.isEmpty { return answer }
            } catch  where attempt < attemptsMax {
                continue
            }
        }
        return "\(attemptsMax) connections were ended without an answer"
    }
}
