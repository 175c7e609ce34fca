import Glibc
import Testing

@testable import MicroHTTPD

/// The server over real sockets.
@Suite(.timeLimit(.minutes(5))) struct HTTPServerTests {
    private func server(
        connectionsMax: Int = 32, _ handler: @escaping HTTPServer.Handler
    ) throws -> HTTPServer {
        try HTTPServer(
            host: "127.0.0.1", port: 0, connectionsMax: connectionsMax, idleTimeout: .seconds(60),
            requestLimit: .seconds(300),
            handler: handler)
    }

    private static func answer(_ request: String, port: Int) async throws -> String {
        try await PlainConnection.onThread {
            let connection = try PlainConnection(to: port)
            try connection.send("\(request) HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")
            return try connection.untilEnd()
        }
    }

    private static func echo(_ request: HTTPRequest) -> HTTPResponse {
        HTTPResponse(status: 203, headers: ["Kind": "echo"], body: "\(request.method) \(request.path)")
    }

    @Test func `a response has its status, its header and its body, and a HEAD only the header`() async throws {
        let server = try server { Self.echo($0) }
        defer { server.stop() }
        let whole = try await Self.answer("GET /a/b?c=d", port: server.port)
        #expect(whole.hasPrefix("HTTP/1.1 203 "))
        #expect(whole.contains("\r\nKind: echo\r\n"))
        #expect(whole.contains("\r\nContent-Length: 8\r\n"))
        #expect(whole.hasSuffix("\r\n\r\nGET /a/b"))
        let head = try await Self.answer("HEAD /a", port: server.port)
        #expect(head.contains("\r\nContent-Length: 7\r\n"))
        #expect(head.hasSuffix("\r\n\r\n"))
    }

    @Test func `a request with a body is answered, and its body is left out`() async throws {
        let server = try server { Self.echo($0) }
        defer { server.stop() }
        let port = server.port
        let answer = try await PlainConnection.onThread {
            let connection = try PlainConnection(to: port)
            try connection.send("POST /x HTTP/1.1\r\nHost: here\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello")
            return try connection.untilEnd()
        }
        #expect(answer.hasSuffix("\r\n\r\nPOST /x"))
    }

    @Test(arguments: ["nonsense\r\n\r\n", "GET /\(String(repeating: "a", count: 100_000))"])
    func `what is no request never reaches the handler`(text: String) async throws {
        let server = try server { _ in
            Issue.record("the handler was called")
            return HTTPResponse(status: 200, headers: [:], body: "")
        }
        defer { server.stop() }
        let port = server.port
        let answer = try await PlainConnection.onThread {
            let connection = try PlainConnection(to: port)
            try connection.send(text)
            return (try? connection.untilEnd()) ?? ""
        }
        #expect(answer.isEmpty || answer.hasPrefix("HTTP/1.1 4"))
    }

    @Test func `many connections are answered, more than the server has at once`() async throws {
        let server = try server(connectionsMax: 4) { Self.echo($0) }
        defer { server.stop() }
        let port = server.port
        let answers = try await withThrowingTaskGroup(of: (Int, String).self) { group in
            for number in 0..<64 { group.addTask { (number, try await Self.answer("GET /\(number)", port: port)) } }
            return try await group.reduce(into: [Int: String]()) { $0[$1.0] = $1.1 }
        }
        #expect(answers.count == 64)
        for (number, answer) in answers { #expect(answer.hasSuffix("\r\n\r\nGET /\(number)")) }
    }

    @Test func `a server stops although a handler never ends, and the request gets no response`() async throws {
        let (calls, call) = AsyncStream.makeStream(of: Void.self)
        let (gate, opening) = AsyncStream.makeStream(of: Void.self)
        let server = try server { _ in
            call.yield()
            // The gate opens after the server has stopped.
            for await _ in gate {}
            return HTTPResponse(status: 200, headers: [:], body: "late")
        }
        let port = server.port
        async let answer = Self.answer("GET /", port: port)
        _ = await calls.first { _ in true }
        server.stop()
        #expect(try await answer.isEmpty)
        opening.finish()
        // A second stop does nothing.
        server.stop()
        await #expect(throws: PlainConnection.Failure.self) { try await Self.answer("GET /", port: port) }
    }

    @Test func `an address that cannot be used says why`() throws {
        let first = try server { Self.echo($0) }
        defer { first.stop() }
        func problem(_ host: String, _ port: Int) -> MicroHTTPDError? {
            do throws(MicroHTTPDError) {
                let server = try HTTPServer(
                    host: host, port: port, connectionsMax: 1, idleTimeout: .seconds(1), requestLimit: .seconds(60),
                    handler: { Self.echo($0) })
                server.stop()
                return nil
            } catch { return error }
        }
        #expect(problem("127.0.0.1", first.port) == .callFailed(call: "bind", errorNumber: EADDRINUSE))
        #expect(problem("192.0.2.1", 0) == .callFailed(call: "bind", errorNumber: EADDRNOTAVAIL))
        #expect(problem("here", 0) == .malformedAddress(host: "here"))
        #expect(problem("::1", 0) == nil || problem("::1", 0) == .callFailed(call: "bind", errorNumber: EADDRNOTAVAIL))
        #expect(
            MicroHTTPDError.callFailed(call: "bind", errorNumber: 98).description == "bind failed with errno 98")
        #expect(
            MicroHTTPDError.malformedAddress(host: "here").description
                == "\"here\" is no numeric address of this machine"
        )
    }
}
