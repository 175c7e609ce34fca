import TestSupport
import Testing
import ZeroMQ

@Suite(.timeLimit(.minutes(5)))
struct BackPressureTests {
    @Test func `bytes are bounded too, and one larger message still passes`() async throws {
        var limits = ChannelLimits()
        limits.outboundBytes = 1000
        let dealer = try await unconnectedDealer(limits: limits)
        #expect(try dealer.trySend(Message([.number(0, byteCount: 5000)])))
        #expect(try !dealer.trySend(Message([.number(1)])))
        #expect(dealer.statistics.outboundBytes == 5000)
        await dealer.close(flushingFor: .zero)
    }

    /// If libzmq held messages back, it would stop reading their connection, and end the process when the connection
    /// breaks (libzmq issues 3937 and 4364).
    @Test func `every message is taken in although nobody consumes any, by a dealer and by a router`() async throws {
        // More than libzmq holds by its own default, 1000 on each side.
        let count = 3000
        let context = try Context()
        var options = SocketOptions()
        options.sendHighWaterMark = count
        let router = try await MessageChannel.bind(Endpoint("tcp://127.0.0.1:0"), context: context, options: options)
        let dealer = try await MessageChannel.connect(router.endpoint, context: context)
        for number in 0..<count { try await dealer.send(Message([.number(number)])) }
        try await waitUntil("the router to take all in") { router.statistics.inboundMessages == count }
        let identity = try #require(try await router.receive().routingIdentity)
        for number in 0..<count { try await router.send(Message(to: identity, [.number(number)])) }
        try await waitUntil("the dealer to take all in") { dealer.statistics.inboundMessages == count }
        for number in 0..<count { #expect(try await dealer.receive().frames.map(\.number) == [number]) }
        for channel in [dealer, router] { await channel.close() }
    }

    @Test func `messages for a full peer are counted, and others get theirs`() async throws {
        var options = SocketOptions()
        options.sendHighWaterMark = 1
        // The raw peer answers no probe, and must live as long as the test.
        options.heartbeatTimeout = .seconds(300)
        let context = try Context()
        let router = try await MessageChannel.bind(Endpoint("tcp://127.0.0.1:0"), context: context, options: options)
        let slow = try RawConnection(dealerTo: try #require(router.endpoint.port), named: "slow")
        try slow.send([0, 5] + Array("hello".utf8))
        _ = try await router.receive()
        options.routingIdentity = try RoutingIdentity("quick")
        let quick = try await MessageChannel.connect(router.endpoint, context: context, options: options)
        try await quick.send(Message(["hello"]))
        _ = try await router.receive()
        for number in 0..<50 {
            try await router.send(Message(to: RoutingIdentity("slow"), [.number(number, byteCount: 1 << 20)]))
        }
        try await router.send(Message(to: RoutingIdentity("quick"), ["still here"]))
        #expect(try await quick.receive().frames == ["still here"])

        let statistics = router.statistics
        #expect(statistics.droppedMessages > 0)
        #expect(statistics.droppedMessages + statistics.sentMessages == 51)
        var reportedCount = 0
        for await event in router.events {
            guard case .peerBlocked(let identity, let dropped) = event else { continue }
            #expect(try identity == RoutingIdentity("slow"))
            reportedCount += dropped
            if reportedCount == statistics.droppedMessages { break }
        }
        #expect(reportedCount == statistics.droppedMessages)
        withExtendedLifetime(slow) {}
        for channel in [quick, router] { await channel.close() }
    }

    @Test func `messages for an unknown peer are reported`() async throws {
        let router = try await MessageChannel.bind(Endpoint("tcp://127.0.0.1:0"), context: Context())
        let nobody = try RoutingIdentity("nobody")
        try await router.send(Message(to: nobody, ["a", "b"]))
        let event = try await firstEvent(of: router, "the report") { event in
            if case .peerUnreachable = event { true } else { false }
        }
        #expect(event == .peerUnreachable(nobody, dropped: 1))
        #expect(router.statistics.droppedMessages == 1)
        #expect(router.statistics.sentMessages == 0)
        await router.close()
    }
}

/// A dealer that hands nothing to libzmq, because nobody listens.
func unconnectedDealer(limits: ChannelLimits) async throws -> MessageChannel {
    var options = SocketOptions()
    options.isImmediate = true
    options.linger = .zero
    return try await MessageChannel.connect(ClosedPort.endpoint, context: Context(), options: options, limits: limits)
}
