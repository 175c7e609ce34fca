import Testing
import ZeroMQ

@Suite(.timeLimit(.minutes(5)))
struct CurveTests {
    private let serverKeys: CurveKeyPair
    private let clientKeys: CurveKeyPair
    private let context: Context

    init() throws {
        serverKeys = try CurveKeyPair.generate()
        clientKeys = try CurveKeyPair.generate()
        context = try Context()
    }

    @Test func `an authorized client is heard, and its key is told`() async throws {
        let allowedKey = clientKeys.publicKey
        let authenticator = try await CurveAuthenticator(context: context) { $0 == allowedKey }
        let router = try await server(authenticator: authenticator)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await authenticator.run() }
            let dealer = try await client(of: router, keys: clientKeys, serverKey: serverKeys.publicKey)
            let frame = Frame.number(3, byteCount: 64 << 20)
            try await dealer.send(Message([frame]))
            let message = try await router.receive()
            #expect(message.frames == [frame])
            #expect(message.authenticatedUser == clientKeys.publicKey.description)
            try await router.send(message)
            #expect(try await dealer.receive().frames == [frame])
            await dealer.close()
            await router.close()
            group.cancelAll()
        }
    }

    @Test func `a key that is not authorized is refused, and nothing is delivered`() async throws {
        let authenticator = try await CurveAuthenticator(context: context) { _ in false }
        let router = try await server(authenticator: authenticator)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await authenticator.run() }
            let dealer = try await client(of: router, keys: clientKeys, serverKey: serverKeys.publicKey)
            try await dealer.send(Message(["secret"]))
            #expect(try await handshakeFailure(of: router) == .refused(status: 400))
            #expect(router.statistics.receivedMessages == 0)
            await dealer.close(flushingFor: .zero)
            await router.close()
            group.cancelAll()
        }
    }

    @Test func `without an authenticator any key is heard, and none is told`() async throws {
        let router = try await server(authenticator: nil)
        let dealer = try await client(of: router, keys: clientKeys, serverKey: serverKeys.publicKey)
        try await dealer.send(Message(["encrypted"]))
        let message = try await router.receive()
        #expect(message.frames == ["encrypted"])
        #expect(message.authenticatedUser == nil)
        await dealer.close()
        await router.close()
    }

    @Test func `a wrong server key fails the handshake, and nothing is delivered`() async throws {
        let router = try await server(authenticator: nil)
        let dealer = try await client(of: router, keys: clientKeys, serverKey: clientKeys.publicKey)
        try await dealer.send(Message(["secret"]))
        #expect(try await handshakeFailure(of: router).isCryptographic)
        #expect(router.statistics.receivedMessages == 0)
        await dealer.close(flushingFor: .zero)
        await router.close()
    }

    @Test func `a client without keys fails the handshake, and nothing is delivered`() async throws {
        let router = try await server(authenticator: nil)
        var options = SocketOptions()
        options.linger = .zero
        let dealer = try await MessageChannel.connect(router.endpoint, context: context, options: options)
        try await dealer.send(Message(["plain"]))
        guard case .protocolError = try await handshakeFailure(of: router) else {
            Issue.record("the failure is not one of the protocol")
            return
        }
        #expect(router.statistics.receivedMessages == 0)
        await dealer.close(flushingFor: .zero)
        await router.close()
    }

    @Test func `a context has one authenticator`() async throws {
        let first = try await CurveAuthenticator(context: context) { _ in true }
        await #expect(throws: ZeroMQError.callFailed(call: "zmq_bind(inproc://zeromq.zap.01)", errorNumber: 98)) {
            _ = try await CurveAuthenticator(context: context) { _ in true }
        }
        extendLifetime(first)
    }

    @Test func `only a lost connection is tried again`() {
        #expect(!HandshakeFailure.connectionLost(errorNumber: 32).isFinal)
        #expect(HandshakeFailure.refused(status: 400).isFinal)
        #expect(HandshakeFailure.protocolError(code: 0).isFinal)
    }

    private func server(authenticator: CurveAuthenticator?) async throws -> MessageChannel {
        var options = SocketOptions()
        options.curve = .server(serverKeys, authenticator: authenticator)
        return try await MessageChannel.bind(Endpoint("tcp://127.0.0.1:0"), context: context, options: options)
    }

    private func client(
        of router: MessageChannel,
        keys: CurveKeyPair,
        serverKey: CurvePublicKey
    ) async throws -> MessageChannel {
        var options = SocketOptions()
        options.curve = .client(keys, serverKey: serverKey)
        options.linger = .zero
        return try await MessageChannel.connect(router.endpoint, context: context, options: options)
    }

    /// The first final handshake failure; a busy machine may lose a connection before it.
    private func handshakeFailure(of router: MessageChannel) async throws -> HandshakeFailure {
        for await event in router.events {
            if case .handshakeFailed(_, let failure) = event, failure.isFinal { return failure }
        }
        throw WaitEnded(awaited: "a failed handshake")
    }
}
