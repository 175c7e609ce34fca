import Keys
import SystemPackage
import TestSupport
import Testing
import WireProtocol
import ZeroMQ

@testable import Messaging

/// The coordinator's socket, with real peers.
@Suite(.timeLimit(.minutes(5))) struct CoordinatorEndpointTests {
    private let context: Context

    init() throws { context = try Context() }

    @Test func `an address that other machines reach takes keys`() async throws {
        let expected = MessagingError.unprotectedEndpoint(endpoint: "tcp://0.0.0.0:0")
        await #expect(throws: expected) {
            try await CoordinatorEndpoint.bind(try Endpoint("tcp://0.0.0.0:0"), context: context)
        }
        await #expect(throws: MessagingError.unprotectedConnection(endpoint: "tcp://192.0.2.77:7733")) {
            try await ClientConnection.connect(to: try Endpoint("tcp://192.0.2.77:7733"), context: context)
        }
        #expect(
            expected.description
                == "tcp://0.0.0.0:0: other machines reach this address; without keys only loopback "
                + "(tcp://127.0.0.1:…) and ipc:// are allowed. Make keys with \"kfacctl keygen\" and give --secret-key "
                + "and --authorized-keys, or listen on one of those.")
    }

    @Test func `a peer that says three times what is no message is not listened to, and others are`() async throws {
        let endpoint = try await CoordinatorEndpoint.bind(try Endpoint("tcp://127.0.0.1:0"), context: context)
        let bad = try await dealer(of: endpoint)
        let good = try await dealer(of: endpoint)
        var news = 0
        for _ in 0..<3 {
            try await bad.send(Message(["no message"]))
            guard case .refused(_, let refusal) = await endpoint.next() else {
                Issue.record("what is no message was taken in")
                return
            }
            #expect(refusal.description == "the message is malformed: it is not an envelope of the protocol.")
            news += refusal.isNews ? 1 : 0
            #expect(try await bad.receive().frames.count == 1)
        }
        #expect(news == 1)
        // From here on nobody reads or answers the peer's messages.
        for number in 0..<100 { try await bad.send(try Message(.request(UInt64(number), .jobs))) }
        try await good.send(try Message(.request(7, .workers)))
        guard case .message(.request(let number, .workers), _, _) = await endpoint.next() else {
            Issue.record("the peer that behaves was not heard")
            return
        }
        #expect(number == 7)
        await bad.close(flushingFor: .zero)
        await good.close(flushingFor: .zero)
        await endpoint.close()
    }

    @Test func `an unknown key is told once, is let in never, and says so to its holder`() async throws {
        let directory = try TemporaryDirectory()
        let (own, known, stranger) = (
            try CurveKeyPair.generate(), try CurveKeyPair.generate(), try CurveKeyPair.generate()
        )
        try directory.write(Array("public \(known.publicKey)\nrole reader\n".utf8), to: "known.public")
        let authorized = try AuthorizedKeys(directory: FilePath(directory.path))
        let (refusedKeys, sink) = AsyncStream.makeStream(of: CurvePublicKey.self)
        let endpoint = try await CoordinatorEndpoint.bind(
            try Endpoint("tcp://127.0.0.1:0"), context: context,
            keys: CoordinatorKeys(pair: own, authorized: authorized)
        ) { sink.yield($0) }
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await endpoint.guardConnections() }
            for _ in 0..<2 {
                let client = try await ClientConnection.connect(
                    to: endpoint.endpoint, keys: PeerKeys(pair: stranger, serverKey: own.publicKey), context: context)
                await #expect(throws: MessagingError.keyRefused(endpoint: endpoint.endpoint.description)) {
                    try await client.ask(.jobs, timeout: .seconds(30))
                }
                await client.close()
            }
            let client = try await ClientConnection.connect(
                to: endpoint.endpoint, keys: PeerKeys(pair: known, serverKey: own.publicKey), context: context)
            group.addTask { _ = try? await client.ask(.jobs, timeout: .seconds(30)) }
            guard case .message(.request(_, .jobs), _, _) = await endpoint.next() else {
                Issue.record("the first message was not that of the known key")
                return
            }
            sink.finish()
            var told: [CurvePublicKey] = []
            for await key in refusedKeys { told.append(key) }
            #expect(told == [stranger.publicKey])
            await client.close()
            await endpoint.close()
            group.cancelAll()
        }
    }

    @Test func `a wrong server key and no keys at all end in a sentence, not in silence`() async throws {
        let directory = try TemporaryDirectory()
        let (own, known) = (try CurveKeyPair.generate(), try CurveKeyPair.generate())
        try directory.write(Array("public \(known.publicKey)\nrole reader\n".utf8), to: "known.public")
        let endpoint = try await CoordinatorEndpoint.bind(
            try Endpoint("tcp://127.0.0.1:0"), context: context,
            keys: CoordinatorKeys(
                pair: own, authorized: try AuthorizedKeys(directory: FilePath(directory.path))))
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await endpoint.guardConnections() }
            for keys in [PeerKeys(pair: known, serverKey: known.publicKey), nil] {
                let client = try await ClientConnection.connect(to: endpoint.endpoint, keys: keys, context: context)
                await #expect(throws: MessagingError.handshakeFailed(endpoint: endpoint.endpoint.description)) {
                    try await client.ask(.jobs, timeout: .seconds(30))
                }
                await client.close()
            }
            await endpoint.close()
            group.cancelAll()
        }
    }

    private func dealer(of endpoint: CoordinatorEndpoint) async throws -> MessageChannel {
        try await MessageChannel.connect(endpoint.endpoint, context: context)
    }
}
