import Foundation
import Glibc
import Keys
import TestSupport
import Testing
import WireProtocol
import ZeroMQ

@testable import Messaging

/// Bytes at the coordinator's port from peers that do not keep to the protocol.
@Suite(.timeLimit(.minutes(5))) struct HostilePeerTests {
    private let context: Context
    private let endpoint: CoordinatorEndpoint
    private let port: UInt16

    init() async throws {
        context = try Context()
        // Peers that read nothing must stay connected, however slow the machine is.
        endpoint = try await CoordinatorEndpoint.bind(
            try Endpoint("tcp://127.0.0.1:0"), context: context, probesSilence: false)
        port = try #require(endpoint.endpoint.port)
    }

    /// Expects that a well-behaved client is still answered.
    private func expectService(_ number: UInt64 = 1) async throws {
        let client = try await MessageChannel.connect(endpoint.endpoint, context: context)
        try await client.send(try Message(.request(number, .jobs)))
        while true {
            guard case .message(.request(number, .jobs), _, let peer) = await endpoint.next() else { continue }
            await endpoint.send(.reply(number, .jobs([])), to: peer)
            break
        }
        #expect(try await client.receive().decoded().message == .reply(number, .jobs([])))
        await client.close(flushingFor: .zero)
    }

    @Test func `bytes that are no greeting cost their sender the connection`() async throws {
        var random = SplitMix64(seed: 1)
        // The beginning of an old version's greeting is waited for until the handshake's time limit, for all peers at
        // once.
        let peers = try [1, 10, 64, 1000].map { length in
            let peer = try RawConnection(to: port)
            try peer.send((0..<length).map { _ in UInt8.random(in: 1...0xfe, using: &random) } + RawConnection.greeting)
            return peer
        }
        for peer in peers { #expect(await peer.isClosedByOther) }
        try await expectService()
        await endpoint.close()
    }

    @Test func `half a greeting and silence hold up nobody`() async throws {
        let peers = try (0..<50).map { count in
            let peer = try RawConnection(to: port)
            try peer.send(Array(RawConnection.greeting.prefix(count)))
            return peer
        }
        try await expectService()
        withExtendedLifetime(peers) {}
        await endpoint.close()
    }

    @Test func `a frame that announces more than is allowed costs the connection before a byte of it comes`()
        async throws
    {
        for size: UInt64 in [(64 << 10) + 1, 1 << 40, .max >> 1, .max] {
            let peer = try RawConnection(dealerTo: port)
            try peer.send([2] + (0..<8).reversed().map { UInt8(truncatingIfNeeded: size >> (8 * UInt64($0))) })
            #expect(await peer.isClosedByOther, "\(size)")
        }
        try await expectService()
        await endpoint.close()
    }

    @Test func `a peer that goes on sending what is no message loses its connection`() async throws {
        let peer = try RawConnection(dealerTo: port)
        for _ in 0..<4 { try peer.send([0, 3, 0xff, 0xff, 0xff]) }
        for _ in 0..<3 {
            guard case .refused = await endpoint.next() else {
                Issue.record("what is no message was taken in")
                return
            }
        }
        try await expectService()
        #expect(await peer.isClosedByOther)
        await endpoint.close()
    }

    @Test func `a message of too many frames costs its sender the connection`() async throws {
        let peer = try RawConnection(dealerTo: port)
        try peer.send([1, 1, 0, 1, 1, 0, 0, 1, 0])
        #expect(await peer.isClosedByOther)
        try await expectService()
        await endpoint.close()
    }

    @Test func `five hundred connections that say nothing do not keep a client out`() async throws {
        let peers = try (0..<500).map { _ in try RawConnection(to: port) }
        try await expectService()
        withExtendedLifetime(peers) {}
        await endpoint.close()
    }

    @Test func `what a peer does not read is dropped at a bound, and others get theirs`() async throws {
        let peer = try RawConnection(dealerTo: port)
        let request = try WireMessage.request(1, .jobs).encoded()
        try peer.send([0, UInt8(request.count)] + request)
        guard case .message(_, _, let identity) = await endpoint.next() else {
            Issue.record("the request was not taken in")
            return
        }
        // The bytes are shared, so that the test itself holds only one megabyte.
        let chunk = Frame([UInt8](repeating: 7, count: 1 << 20))
        for _ in 0..<4096 { await endpoint.send(.reply(1, .outputChunk(offset: 0)), payload: chunk, to: identity) }
        try await expectService(2)
        let statistics = endpoint.statistics
        #expect(statistics.outboundMessages == 0)
        #expect(statistics.heldBytes <= CoordinatorEndpoint.limits.heldBytesPerPeer)
        // Messages that are neither held nor dropped are in the kernel's buffers, at most tens of megabytes.
        #expect(statistics.droppedMessages >= 4096 - 256 - 64)
        withExtendedLifetime(peer) {}
        await endpoint.close()
    }

    @Test func `what was held for a peer is let go when its connection ends`() async throws {
        var peer: RawConnection? = try RawConnection(dealerTo: port)
        let request = try WireMessage.request(1, .jobs).encoded()
        try peer?.send([0, UInt8(request.count)] + request)
        guard case .message(_, _, let identity) = await endpoint.next() else {
            Issue.record("the request was not taken in")
            return
        }
        let chunk = Frame([UInt8](repeating: 7, count: 1 << 20))
        for _ in 0..<100 { await endpoint.send(.reply(1, .outputChunk(offset: 0)), payload: chunk, to: identity) }
        while endpoint.statistics.sentMessages < 100 { try await Task.sleep(for: .milliseconds(5)) }
        #expect(endpoint.statistics.heldBytes > 0)
        peer = nil
        while endpoint.statistics.heldBytes > 0 { try await Task.sleep(for: .milliseconds(5)) }
        #expect(endpoint.hasRoom(for: identity))
        await endpoint.close()
    }

    @Test func `a client that does not take what it is sent gets no more of a file until it is gone`() async throws {
        var peer: RawConnection? = try RawConnection(dealerTo: port)
        let request = try WireMessage.request(1, .jobs).encoded()
        try peer?.send([0, UInt8(request.count)] + request)
        guard case .message(_, _, let identity) = await endpoint.next() else {
            Issue.record("the request was not taken in")
            return
        }
        let other = try RoutingIdentity("other")
        let chunk = Frame([UInt8](repeating: 7, count: 1 << 20))
        for _ in 0..<250 { await endpoint.send(.reply(1, .outputChunk(offset: 0)), payload: chunk, to: identity) }
        while endpoint.statistics.sentMessages < 250 { try await Task.sleep(for: .milliseconds(5)) }
        #expect(endpoint.roomForClient(identity) == .notTaken)
        #expect(endpoint.roomForClient(other) == .crowded)
        peer = nil
        while endpoint.statistics.heldBytes > 0 { try await Task.sleep(for: .milliseconds(5)) }
        #expect(endpoint.roomForClient(other) == .free)
        await endpoint.close()
    }

    @Test func `a message without end costs its sender the connection at a bound, and others are served`()
        async throws
    {
        let (floods, sink) = AsyncStream.makeStream(of: UInt64.self)
        var limits = CoordinatorEndpoint.limits
        limits.unfinishedBytesPerConnection = 8 << 20
        let endpoint = try await CoordinatorEndpoint.bind(
            try Endpoint("tcp://127.0.0.1:0"), context: context, limits: limits,
            onFlood: { _, byteCount in sink.yield(byteCount) })
        let guardian = Task { try await endpoint.guardConnections() }
        let peer = try RawConnection(dealerTo: try #require(endpoint.endpoint.port))
        // Frames of a hundred bytes, each marked as followed by another.
        let frames = [UInt8](repeating: 0, count: 1000).flatMap { _ in [1, 100] + [UInt8](repeating: 7, count: 100) }
        let flood = Task {
            while !Task.isCancelled {
                try peer.send(frames)
                try await Task.sleep(for: .milliseconds(1))
            }
        }
        let byteCount = try #require(await floods.first { _ in true })
        #expect(byteCount > 8 << 20)
        flood.cancel()
        _ = await flood.result
        #expect(await peer.isClosedByOther)
        let client = try await MessageChannel.connect(endpoint.endpoint, context: context)
        try await client.send(try Message(.request(3, .jobs)))
        guard case .message(.request(3, .jobs), _, _) = await endpoint.next() else {
            Issue.record("a client is not heard")
            return
        }
        await client.close(flushingFor: .zero)
        guardian.cancel()
        await endpoint.close()
    }

    @Test func `what waits for the reader is bounded, and who exceeds it loses the connection`() async throws {
        let (floods, sink) = AsyncStream.makeStream(of: UInt64.self)
        var limits = CoordinatorEndpoint.limits
        limits.inboundMessagesPerPeer = 100
        let endpoint = try await CoordinatorEndpoint.bind(
            try Endpoint("tcp://127.0.0.1:0"), context: context, limits: limits,
            onFlood: { _, byteCount in sink.yield(byteCount) })
        let guardian = Task { try await endpoint.guardConnections() }
        let peer = try RawConnection(dealerTo: try #require(endpoint.endpoint.port))
        for _ in 0..<200 { try peer.send([0, 3, 0xff, 0xff, 0xff]) }
        #expect(try #require(await floods.first { _ in true }) == 303)
        #expect(await peer.isClosedByOther)
        #expect(endpoint.statistics.inboundMessages == 100)
        guardian.cancel()
        await endpoint.close()
    }

    @Test func `what connections that claim a taken name leave behind is let go at a bound, and nobody is kept out`()
        async throws
    {
        let (renewals, sink) = AsyncStream.makeStream(of: UInt64.self)
        var limits = CoordinatorEndpoint.limits
        limits.undeliverableBytes = 4 << 20
        let endpoint = try await CoordinatorEndpoint.bind(
            try Endpoint("tcp://127.0.0.1:0"), context: context, limits: limits, onRenewal: { sink.yield($0) })
        let guardian = Task { try await endpoint.guardConnections() }
        let port = try #require(endpoint.endpoint.port)
        let holder = try RawConnection(dealerTo: port, named: "taken")
        try holder.send([0, 3, 0xff, 0xff, 0xff])
        guard case .refused? = await endpoint.next() else {
            Issue.record("the first of the name is not heard")
            return
        }
        let honest = try await MessageChannel.connect(endpoint.endpoint, context: context)
        do {
            let claimants = try (0..<5).map { _ in try RawConnection(dealerTo: port, named: "taken") }
            for claimant in claimants { try claimant.send(RawConnection.message(byteCount: 1 << 20)) }
        }
        #expect(try #require(await renewals.first { _ in true }) > 4 << 20)
        #expect(await holder.isClosedByOther)
        #expect(endpoint.statistics.renewals == 1)
        // Connected peers connect again, and peers from the same address are heard.
        try await honest.send(try Message(.request(1, .jobs)))
        guard case .message(.request(1, .jobs), _, _)? = await endpoint.next() else {
            Issue.record("who was connected is not heard any more")
            return
        }
        let newcomer = try RawConnection(dealerTo: port, named: "taken")
        try newcomer.send([0, 3, 0xff, 0xff, 0xff])
        guard case .refused? = await endpoint.next() else {
            Issue.record("who comes from the same address is not heard")
            return
        }
        await honest.close(flushingFor: .zero)
        guardian.cancel()
        await endpoint.close()
    }

    @Test func `connections that leave messages behind and end are bounded together`() async throws {
        var limits = CoordinatorEndpoint.limits
        limits.inboundBytes = 8 << 20
        let endpoint = try await CoordinatorEndpoint.bind(
            try Endpoint("tcp://127.0.0.1:0"), context: context, limits: limits)
        let message = RawConnection.message(byteCount: 1 << 20)
        for _ in 0..<20 {
            let peer = try RawConnection(dealerTo: try #require(endpoint.endpoint.port))
            for _ in 0..<3 { try peer.send(message) }
            #expect(endpoint.statistics.inboundBytes <= 8 << 20)
        }
        let client = try await MessageChannel.connect(endpoint.endpoint, context: context)
        try await client.send(try Message(.request(3, .jobs)))
        while case .refused? = await endpoint.next() { continue }
        await client.close(flushingFor: .zero)
        await endpoint.close()
    }
}

/// Connections that break while a router is behind with them: libzmq must not end the process (its issue 4364).
@Suite(.timeLimit(.minutes(5))) struct BrokenConnectionTests {
    private static let message: [UInt8] = [0, 3, 0xff, 0xff, 0xff]

    private let router: MessageChannel
    private let context: Context
    private let port: UInt16

    init() async throws {
        context = try Context()
        var options = CoordinatorEndpoint.options
        // A probe on a connection in a bad state would end the process.
        options.heartbeatInterval = .milliseconds(20)
        // The test's peers answer no probe, and on a busy machine they live long.
        options.heartbeatTimeout = .seconds(300)
        router = try await MessageChannel.bind(
            try Endpoint("tcp://127.0.0.1:0"), context: context, options: options, limits: CoordinatorEndpoint.limits)
        port = try #require(router.endpoint.port)
    }

    /// Expects that the connections end, and that a dealer is heard afterwards.
    private func expectService(afterTheEndOf count: Int) async throws {
        var ended = 0
        for await event in router.events {
            if case .disconnected = event { ended += 1 }
            if ended == count { break }
        }
        let dealer = try await MessageChannel.connect(router.endpoint, context: context)
        try await dealer.send(Message(["heard"]))
        while try await router.receive().frames != ["heard"] { continue }
        await dealer.close(flushingFor: .zero)
        await router.close()
    }

    @Test func `a peer that is reset while its messages wait to be read ends nothing but its connection`()
        async throws
    {
        do {
            let peer = try RawConnection(dealerTo: port)
            for _ in 0..<300 { try peer.send(Self.message) }
            // By now libzmq has read the messages, or has stopped reading.
            while router.statistics.receivedMessages < 64 { try await Task.sleep(for: .milliseconds(5)) }
            peer.resetWhenClosed()
        }
        try await expectService(afterTheEndOf: 1)
    }

    @Test func `a probe among the messages of a peer that is reset ends nothing but its connection`() async throws {
        do {
            let peer = try RawConnection(dealerTo: port)
            // Wherever libzmq stops reading, a probe follows.
            try peer.send([[UInt8]](repeating: Self.message + RawConnection.ping, count: 400).flatMap { $0 })
            while router.statistics.receivedMessages < 64 { try await Task.sleep(for: .milliseconds(5)) }
            peer.resetWhenClosed()
        }
        try await expectService(afterTheEndOf: 1)
    }

    @Test(arguments: ["", "w1"])
    func `late words of a connection that another came to replace end nothing`(name: String) async throws {
        var old: RawConnection? = try RawConnection(dealerTo: port, named: name)
        try old?.send(Self.message)
        let identity = try await router.receive().routingIdentity
        var new: RawConnection? = try RawConnection(dealerTo: port, named: name)
        try new?.send(Self.message)
        if name.isEmpty { #expect(try await router.receive().routingIdentity != identity) }
        try old?.send(Self.message)
        // Only the first peer is heard under the name, and no other can take it over.
        #expect(try await router.receive().routingIdentity == identity)
        old = nil
        new = nil
        try await expectService(afterTheEndOf: 2)
    }
}
