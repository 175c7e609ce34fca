import Testing
import ZeroMQ

@Suite(.timeLimit(.minutes(5)))
struct MalformedMessageTests {
    @Test func `a message of too many frames is dropped and reported, and the next is received`() async throws {
        let expected = MalformedMessage.tooManyFrames(count: 9, limit: 8)
        try await expectReport(expected, for: [Frame](repeating: "x", count: 9))
    }

    @Test func `a message of too many bytes is dropped and reported, and the next is received`() async throws {
        var limits = ChannelLimits()
        limits.messageBytes = 10
        let expected = MalformedMessage.tooLarge(byteCount: 18, limit: 10)
        try await expectReport(expected, for: ["0123456", "0123456", "0123"], limits: limits)
    }

    @Test func `a frame above the socket's limit ends the connection`() async throws {
        let context = try Context()
        var options = SocketOptions()
        options.maximumFrameBytes = 1000
        let router = try await MessageChannel.bind(
            Endpoint("tcp://127.0.0.1:0"),
            context: context,
            options: options
        )
        let dealer = try await MessageChannel.connect(router.endpoint, context: context)
        try await dealer.send(Message([.number(0, byteCount: 999)]))
        #expect(try await router.receive().byteCount == 999)
        try await dealer.send(Message([.number(0, byteCount: 1001)]))
        _ = try await firstEvent(of: router, "the end of the connection") { event in
            if case .disconnected = event { true } else { false }
        }
        #expect(router.statistics.receivedMessages == 1)
        await dealer.close()
        await router.close()
    }

    @Test func `what may not be sent is refused`() async throws {
        var limits = ChannelLimits()
        limits.messageBytes = 10
        let context = try Context()
        let router = try await MessageChannel.bind(Endpoint("inproc://refused"), context: context, limits: limits)
        let dealer = try await MessageChannel.connect(router.endpoint, context: context, limits: limits)
        let identity = try RoutingIdentity("peer")
        #expect(throws: ZeroMQError.emptyMessage) { try dealer.trySend(Message([])) }
        #expect(throws: ZeroMQError.missingRoutingIdentity) { try router.trySend(Message(["x"])) }
        #expect(throws: ZeroMQError.unexpectedRoutingIdentity) { try dealer.trySend(Message(to: identity, ["x"])) }
        #expect(throws: ZeroMQError.tooManyFrames(count: 9, limit: 8)) {
            try dealer.trySend(Message([Frame](repeating: "", count: 9)))
        }
        await #expect(throws: ZeroMQError.messageTooLarge(byteCount: 11, limit: 10)) {
            try await dealer.send(Message(["0123456789", "0"]))
        }
        await dealer.close()
        await router.close()
    }

    private func expectReport(
        _ expected: MalformedMessage,
        for frames: [Frame],
        limits: ChannelLimits = ChannelLimits()
    ) async throws {
        let context = try Context()
        let router = try await MessageChannel.bind(Endpoint("tcp://127.0.0.1:0"), context: context, limits: limits)
        var dealerLimits = ChannelLimits()
        dealerLimits.framesPerMessage = 100
        var options = SocketOptions()
        options.routingIdentity = try RoutingIdentity("rude")
        let dealer = try await MessageChannel.connect(
            router.endpoint,
            context: context,
            options: options,
            limits: dealerLimits
        )
        try await dealer.send(Message(frames))
        // The ended connection may lose later messages, so the test sends until one arrives.
        let good = Task {
            while !Task.isCancelled {
                try await dealer.send(Message(["good"]))
                try await Task.sleep(for: .milliseconds(50))
            }
        }
        #expect(try await router.receive().frames == ["good"])
        good.cancel()
        let event = try await firstEvent(of: router, "the report") { event in
            if case .malformed = event { true } else { false }
        }
        #expect(event == .malformed(options.routingIdentity, expected))
        await dealer.close()
        await router.close()
    }
}
