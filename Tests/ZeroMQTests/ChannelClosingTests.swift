import Testing
import ZeroMQ

@Suite(.timeLimit(.minutes(5)))
struct ChannelClosingTests {
    @Test func `a closed channel refuses everything, and closing again is harmless`() async throws {
        let router = try await MessageChannel.bind(Endpoint("tcp://127.0.0.1:0"), context: Context())
        let message = Message(to: try RoutingIdentity("peer"), ["x"])
        #expect(await router.close() == 0)
        await #expect(throws: ZeroMQError.closed) { try await router.send(message) }
        #expect(throws: ZeroMQError.closed) { try router.trySend(message) }
        await #expect(throws: ZeroMQError.closed) { _ = try await router.receive() }
        for await _ in router.messages { Issue.record("a message after the end") }
        for await _ in router.events {}
        #expect(await router.close() == 0)
    }

    @Test func `closing ends every consumer that waits`() async throws {
        let router = try await MessageChannel.bind(Endpoint("tcp://127.0.0.1:0"), context: Context())
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<3 {
                group.addTask { for await _ in router.messages {} }
                group.addTask { for await _ in router.events {} }
                group.addTask {
                    await #expect(throws: ZeroMQError.closed) { _ = try await router.receive() }
                }
            }
            group.addTask { await router.close() }
            group.addTask { await router.close() }
        }
    }

    @Test func `closing refuses the sends that wait and counts what is not sent`() async throws {
        var limits = ChannelLimits()
        limits.outboundMessages = 1
        let dealer = try await unconnectedDealer(limits: limits)
        try await dealer.send(Message(["queued"]))
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<3 {
                group.addTask {
                    await #expect(throws: ZeroMQError.closed) { try await dealer.send(Message(["waiting"])) }
                }
            }
            try await waitUntil("three sends to wait") { dealer.statistics.waitingSenders == 3 }
            #expect(await dealer.close(flushingFor: .zero) == 1)
            try await group.waitForAll()
        }
    }

    @Test func `cancelling a close ends the flushing`() async throws {
        let dealer = try await unconnectedDealer(limits: ChannelLimits())
        try await dealer.send(Message(["queued"]))
        await withTaskGroup(of: Void.self) { group in
            group.addTask {
                #expect(await dealer.close(flushingFor: .seconds(3600)) == 1)
            }
            group.cancelAll()
        }
    }

    @Test func `a cancelled send is not sent`() async throws {
        var limits = ChannelLimits()
        limits.outboundMessages = 1
        let dealer = try await unconnectedDealer(limits: limits)
        try await dealer.send(Message(["queued"]))
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                await #expect(throws: ZeroMQError.cancelled) { try await dealer.send(Message(["waiting"])) }
            }
            try await waitUntil("the send to wait") { dealer.statistics.waitingSenders == 1 }
            group.cancelAll()
            try await group.waitForAll()
        }
        #expect(dealer.statistics.waitingSenders == 0)
        #expect(await dealer.close(flushingFor: .zero) == 1)
    }

    @Test func `a cancelled consumer ends, and the channel goes on`() async throws {
        let context = try Context()
        let router = try await MessageChannel.bind(Endpoint("inproc://cancelled"), context: context)
        let dealer = try await MessageChannel.connect(router.endpoint, context: context)
        await withTaskGroup(of: Void.self) { group in
            group.addTask {
                await #expect(throws: ZeroMQError.cancelled) { _ = try await router.receive() }
            }
            group.addTask { for await _ in router.messages {} }
            group.addTask { for await _ in router.events {} }
            group.cancelAll()
        }
        try await dealer.send(Message(["after"]))
        #expect(try await router.receive().frames == ["after"])
        await dealer.close()
        await router.close()
    }

    @Test func `a dropped channel stops its thread`() async throws {
        weak var weakContext: Context?
        do {
            let context = try Context()
            weakContext = context
            _ = try await MessageChannel.bind(Endpoint("tcp://127.0.0.1:0"), context: context)
        }
        // The thread holds the context and releases it at its end.
        try await waitUntil("the thread to end") { weakContext == nil }
    }

    @Test func `iterating keeps the channel open`() async throws {
        let context = try Context()
        var messages = try await MessageChannel.bind(Endpoint("inproc://kept"), context: context).messages
            .makeAsyncIterator()
        let dealer = try await MessageChannel.connect(Endpoint("inproc://kept"), context: context)
        try await dealer.send(Message(["kept"]))
        #expect(await messages.next()?.frames == ["kept"])
        await dealer.close()
    }

    @Test func `what is received before closing can be read after it`() async throws {
        let context = try Context()
        let router = try await MessageChannel.bind(Endpoint("inproc://read"), context: context)
        let dealer = try await MessageChannel.connect(router.endpoint, context: context)
        try await dealer.send(Message(["early"]))
        try await waitUntil("the message") { router.statistics.inboundMessages == 1 }
        await router.close()
        #expect(try await router.receive().frames == ["early"])
        await #expect(throws: ZeroMQError.closed) { _ = try await router.receive() }
        await dealer.close()
    }

    @Test func `a hundred channels open and close without losing an acknowledged message`() async throws {
        let context = try Context()
        for cycle in 0..<100 {
            let router = try await MessageChannel.bind(Endpoint("tcp://127.0.0.1:0"), context: context)
            let dealer = try await MessageChannel.connect(router.endpoint, context: context)
            for number in 0..<10 { try await dealer.send(Message([.number(cycle), .number(number)])) }
            for number in 0..<10 {
                let message = try await router.receive()
                #expect(message.frames.map(\.number) == [cycle, number])
                if number == 9 {
                    try await router.send(Message(to: message.routingIdentity, ["acknowledged"]))
                }
            }
            #expect(try await dealer.receive().frames == ["acknowledged"])
            #expect(await dealer.close(flushingFor: .seconds(60)) == 0)
            #expect(await router.close(flushingFor: .seconds(60)) == 0)
        }
    }

    @Test func `what is queued at the time of closing still arrives`() async throws {
        let context = try Context()
        let router = try await MessageChannel.bind(Endpoint("tcp://127.0.0.1:0"), context: context)
        var options = SocketOptions()
        options.linger = .seconds(30)
        let dealer = try await MessageChannel.connect(router.endpoint, context: context, options: options)
        for number in 0..<50 { try await dealer.send(Message([.number(number, byteCount: 100_000)])) }
        #expect(await dealer.close(flushingFor: .seconds(60)) == 0)
        for number in 0..<50 { #expect(try await router.receive().frames.map(\.number) == [number]) }
        await router.close()
    }
}
