import Testing
import ZeroMQ

@Suite(.timeLimit(.minutes(1)))
struct BackPressureTests {
    @Test func `a consumer that does not read bounds what is queued, and loses nothing`() async throws {
        let messageCount = 100
        var limits = ChannelLimits()
        limits.outboundMessages = 4
        limits.inboundMessages = 4
        var options = SocketOptions()
        options.sendHighWaterMark = 2
        options.receiveHighWaterMark = 2
        let context = try Context()
        let router = try await MessageChannel.bind(
            Endpoint("ipc://*"),
            context: context,
            options: options,
            limits: limits
        )
        let dealer = try await MessageChannel.connect(
            router.endpoint,
            context: context,
            options: options,
            limits: limits
        )
        let consumed = Counter()
        let largestGap = Counter()
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                for number in 0..<messageCount {
                    try await dealer.send(Message([.number(number, byteCount: 1 << 20)]))
                    largestGap.raise(to: number + 1 - consumed.count)
                }
            }
            try await waitUntil("reception to pause and the sender to wait") {
                router.statistics.isReceptionPaused && dealer.statistics.waitingSenders == 1
            }
            #expect(router.statistics.inboundMessages == 4)
            #expect(router.statistics.inboundBytes == 4 << 20)
            for number in 0..<messageCount {
                let message = try await router.receive()
                consumed.add()
                #expect(message.frames.map(\.number) == [number])
                #expect(dealer.statistics.outboundMessages <= 4)
                #expect(router.statistics.inboundMessages <= 4)
            }
            try await group.waitForAll()
        }
        // Our queues hold 4 + 4 and libzmq's 2 + 2. Four more are on the way: one just taken, one being written, one
        // being read and one in the kernel. The load of the counter may lag behind by one.
        #expect(largestGap.count <= 4 + 4 + 2 + 2 + 4 + 1)
        await dealer.close()
        await router.close()
    }

    @Test func `bytes are bounded too, and one larger message still passes`() async throws {
        var limits = ChannelLimits()
        limits.outboundBytes = 1000
        let dealer = try await unconnectedDealer(limits: limits)
        #expect(try dealer.trySend(Message([.number(0, byteCount: 5000)])))
        #expect(try !dealer.trySend(Message([.number(1)])))
        #expect(dealer.statistics.outboundBytes == 5000)
        await dealer.close(flushingFor: .zero)
    }

    @Test func `messages for a full peer are counted, and others get theirs`() async throws {
        var limits = ChannelLimits()
        limits.inboundMessages = 1
        var options = SocketOptions()
        options.sendHighWaterMark = 1
        options.receiveHighWaterMark = 1
        let context = try Context()
        let router = try await MessageChannel.bind(Endpoint("ipc://*"), context: context, options: options)
        options.routingIdentity = try RoutingIdentity("slow")
        let slow = try await MessageChannel.connect(
            router.endpoint,
            context: context,
            options: options,
            limits: limits
        )
        options.routingIdentity = try RoutingIdentity("quick")
        let quick = try await MessageChannel.connect(router.endpoint, context: context, options: options)
        for dealer in [slow, quick] {
            try await dealer.send(Message(["hello"]))
            _ = try await router.receive()
        }
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
        for channel in [slow, quick, router] { await channel.close() }
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
    return try await MessageChannel.connect(unusedEndpoint(), context: Context(), options: options, limits: limits)
}
