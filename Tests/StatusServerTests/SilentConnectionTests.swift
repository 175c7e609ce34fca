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
}
