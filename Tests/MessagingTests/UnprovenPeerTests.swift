import Foundation
import Keys
import SystemPackage
import TestSupport
import Testing
import WireProtocol
import ZeroMQ

@testable import Messaging

/// Peers without a proved key at a coordinator that asks for one; they cost little, and keep nobody out.
@Suite(.timeLimit(.minutes(5))) struct UnprovenPeerTests {
    private let context: Context
    private let directory: TemporaryDirectory
    private let (own, known): (CurveKeyPair, CurveKeyPair)

    /// A greeting of ZMTP 3.1 with the mechanism CURVE.
    private static let greeting: [UInt8] =
        [0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0x7f, 3, 1] + Array("CURVE".utf8) + [UInt8](repeating: 0, count: 47)
    /// The beginning of a command of 60 000 bytes.
    private static let longCommand: [UInt8] = [6, 0, 0, 0, 0, 0, 0, 0xea, 0x60]

    init() async throws {
        context = try Context()
        directory = try TemporaryDirectory()
        (own, known) = (try CurveKeyPair.generate(), try CurveKeyPair.generate())
        try directory.write(Array("public \(known.publicKey)\nrole reader\n".utf8), to: "known.public")
    }

    /// Runs a body with an endpoint that accepts the known key.
    private func withEndpoint(
        limits: ChannelLimits = CoordinatorEndpoint.limits,
        onUnheard: @escaping @Sendable (UnheardConnectionsReport) -> Void = { _ in },
        _ body: (CoordinatorEndpoint, UInt16) async throws -> Void
    ) async throws {
        let endpoint = try await CoordinatorEndpoint.bind(
            try Endpoint("tcp://127.0.0.1:0"), context: context,
            keys: CoordinatorKeys(
                pair: own, authorized: try AuthorizedKeys(directory: FilePath(directory.path))),
            limits: limits, onUnheard: onUnheard)
        let guardian = Task { try await endpoint.guardConnections() }
        try await body(endpoint, try #require(endpoint.endpoint.port))
        guardian.cancel()
        await endpoint.close()
    }

    /// Expects that the known key is answered.
    private func expectService(_ endpoint: CoordinatorEndpoint) async throws {
        let client = try await ClientConnection.connect(
            to: endpoint.endpoint, keys: PeerKeys(pair: known, serverKey: own.publicKey), context: context)
        async let answer = client.ask(.jobs, timeout: .seconds(30))
        guard case .message(.request(let number, .jobs), _, let peer)? = await endpoint.next() else {
            Issue.record("the known key is not heard")
            return
        }
        await endpoint.send(.reply(number, .jobs([])), to: peer)
        #expect(try await answer.reply == .jobs([]))
        await client.close()
    }

    private static func endedBySize(_ endpoint: CoordinatorEndpoint) -> Int {
        let ends = endpoint.statistics.unheardEnds
        return Int(ends[.failed] ?? 0) + Int(ends[.excessive] ?? 0)
    }

    @Test func `a frame of megabytes in the handshake ends its connection, however often, and is told`() async throws {
        let (reports, sink) = AsyncStream.makeStream(of: UnheardConnectionsReport.self)
        try await withEndpoint(onUnheard: { sink.yield($0) }) { endpoint, port in
            for _ in 0..<20 {
                let peer = try RawConnection(to: port)
                try peer.send(Self.greeting + [6, 0, 0, 0, 0, 1, 0, 0, 0])
                peer.offer([UInt8](repeating: 7, count: 1 << 20))
                #expect(await peer.isClosedByOther)
            }
            try await expectService(endpoint)
            let report = try #require(await reports.first { _ in true })
            // Some connections end before they can be inspected.
            #expect(report.hosts.keys.allSatisfy { ["127.0.0.1", "an address that was gone at once"].contains($0) })
            #expect(report.count > 0)
            // libzmq ends each connection at its frame's header. On a busy machine the bound of bytes may act first.
            while Self.endedBySize(endpoint) < 20 { try await Task.sleep(for: .milliseconds(10)) }
            #expect(endpoint.recentUnheardConnections > 0)
        }
    }

    @Test func `more bytes than a handshake takes are what ends their connection`() async throws {
        try await withEndpoint { endpoint, port in
            let peer = try RawConnection(to: port)
            try peer.send(Self.greeting + Self.longCommand + [UInt8](repeating: 7, count: 10_000))
            #expect(await peer.isClosedByOther)
            while endpoint.statistics.unheardEnds[.excessive] != 1 { try await Task.sleep(for: .milliseconds(10)) }
            try await expectService(endpoint)
        }
    }

    @Test(arguments: [300, 2000])
    func `half-open connections, however many, keep no known key out`(count: Int) async throws {
        try await withEndpoint { endpoint, port in
            let peers = try (0..<count).map { number in
                let peer = try RawConnection(to: port)
                switch number % 4 {
                case 0: break
                case 1: try peer.send(Array(Self.greeting.prefix(number % 64)))
                case 2: try peer.send(Self.greeting + [4, 200])
                default: try peer.send(Self.greeting + Self.longCommand + [UInt8](repeating: 7, count: 4000))
                }
                return peer
            }
            try await expectService(endpoint)
            #expect(endpoint.statistics.unheardConnections <= CoordinatorEndpoint.limits.unheardConnections)
            withExtendedLifetime(peers) {}
        }
    }

    @Test func `where all places are taken, and taken again, a known key is heard`() async throws {
        var limits = CoordinatorEndpoint.limits
        limits.unheardConnections = 32
        try await withEndpoint(limits: limits) { endpoint, port in
            let crowd = Task {
                var peers: [RawConnection] = []
                while !Task.isCancelled {
                    peers = try peers.suffix(100) + [RawConnection(to: port)]
                    try? await Task.sleep(for: .milliseconds(1))
                }
                return peers.count
            }
            while endpoint.statistics.unheardEnds[.crowded] == nil { try await Task.sleep(for: .milliseconds(5)) }
            for _ in 0..<5 { try await expectService(endpoint) }
            crowd.cancel()
            #expect(try await crowd.value > 0)
        }
    }

    @Test func `a known key that says nothing is not ended with those who proved none, but in time`() async throws {
        var limits = CoordinatorEndpoint.limits
        limits.firstMessageTime = .seconds(2)
        try await withEndpoint(limits: limits) { endpoint, port in
            var options = SocketOptions()
            options.curve = .client(known, serverKey: own.publicKey)
            let dealer = try await MessageChannel.connect(endpoint.endpoint, context: context, options: options)
            var hasShakenHands = false
            for await event in dealer.events {
                if case .handshakeSucceeded = event { hasShakenHands = true }
                // This skips connections that a busy machine loses before the handshake.
                if case .disconnected = event, hasShakenHands { break }
            }
            #expect(hasShakenHands)
            while endpoint.statistics.unheardEnds[.silent] == nil { try await Task.sleep(for: .milliseconds(10)) }
            #expect(endpoint.statistics.unheardEnds[.excessive] == nil)
            await dealer.close(flushingFor: .zero)
            withExtendedLifetime(port) {}
        }
    }

    @Test func `a large first message over keys is heard`() async throws {
        try await withEndpoint { endpoint, _ in
            var options = SocketOptions()
            options.curve = .client(known, serverKey: own.publicKey)
            let dealer = try await MessageChannel.connect(endpoint.endpoint, context: context, options: options)
            let payload = Frame([UInt8](repeating: 7, count: WireLimits.chunkBytes))
            try await dealer.send(try Message(.request(1, .jobs), payload: payload))
            guard case .message(.request(1, .jobs), payload, _)? = await endpoint.next() else {
                Issue.record("the message is not heard")
                return
            }
            await dealer.close(flushingFor: .zero)
        }
    }
}

/// The reports of connections that ended before a message.
struct UnheardNewsTests {
    @Test func `the first is told at once, and then all of a minute together`() async {
        let (reports, sink) = AsyncStream.makeStream(of: UnheardConnectionsReport.self)
        let news = UnheardNews { sink.yield($0) }
        let start = ContinuousClock.now
        var one = UnheardConnectionsReport()
        one.add("h", .failed)
        news.note(UnheardConnectionsReport(), at: start)
        #expect(news.recentCount(at: start) == 0)
        for second in 0...61 { news.note(one, at: start + .seconds(second)) }
        sink.finish()
        var counts: [Int] = []
        for await report in reports { counts.append(report.count) }
        #expect(counts == [1, 60])
        #expect(news.recentCount(at: start + .seconds(61)) == 61)
        #expect(news.recentCount(at: start + .seconds(200)) == 1)
    }
}
