import Testing
import ZeroMQ

@Suite(.timeLimit(.minutes(5)))
struct MessageChannelTests {
    @Test(arguments: ["tcp://127.0.0.1:0", "tcp://[::1]:0", "ipc://*", "inproc://echo"])
    func `a dealer's messages come back from a router`(address: String) async throws {
        let context = try Context()
        let router = try await MessageChannel.bind(Endpoint(address), context: context)
        let dealer = try await MessageChannel.connect(router.endpoint, context: context)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await echo(on: router) }
            for number in 0..<100 {
                let frames: [Frame] = [.number(number), "", .number(number, byteCount: 5000)]
                try await dealer.send(Message(frames))
                let answer = try await dealer.receive()
                #expect(answer.frames == frames)
                #expect(answer.routingIdentity == nil)
            }
            await dealer.close()
            await router.close()
        }
    }

    @Test func `port 0 becomes the port the kernel chose`() async throws {
        let context = try Context()
        let router = try await MessageChannel.bind(Endpoint("tcp://127.0.0.1:0"), context: context)
        #expect(router.endpoint.host == "127.0.0.1")
        #expect(router.endpoint.port != 0)
        await router.close()
    }

    @Test func `binding a port twice names the call, the address and the cause`() async throws {
        let context = try Context()
        let router = try await MessageChannel.bind(Endpoint("tcp://127.0.0.1:0"), context: context)
        let error = await #expect(throws: ZeroMQError.self) {
            _ = try await MessageChannel.bind(router.endpoint, context: context)
        }
        #expect(error?.description == "zmq_bind(\(router.endpoint)): Address already in use")
        await router.close()
    }

    @Test(arguments: ["tcp://*:7070", "tcp://127.0.0.1:0", "ipc://*"])
    func `connecting needs a definite peer`(address: String) async throws {
        let context = try Context()
        await #expect(throws: ZeroMQError.endpointNotConnectable(address)) {
            _ = try await MessageChannel.connect(Endpoint(address), context: context)
        }
    }

    @Test func `a router answers each of many dealers`() async throws {
        let context = try Context()
        let router = try await MessageChannel.bind(Endpoint("tcp://127.0.0.1:0"), context: context)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await echo(on: router) }
            try await withThrowingTaskGroup(of: Void.self) { dealers in
                for dealerNumber in 0..<20 {
                    dealers.addTask {
                        var options = SocketOptions()
                        options.routingIdentity = try RoutingIdentity("dealer-\(dealerNumber)")
                        let dealer = try await MessageChannel.connect(
                            router.endpoint,
                            context: context,
                            options: options
                        )
                        for number in 0..<50 {
                            try await dealer.send(Message([.number(dealerNumber), .number(number)]))
                        }
                        for number in 0..<50 {
                            let answer = try await dealer.receive()
                            #expect(answer.frames.map(\.number) == [dealerNumber, number])
                        }
                        await dealer.close()
                    }
                }
                try await dealers.waitForAll()
            }
            #expect(router.statistics.receivedMessages == 1000)
            await router.close()
        }
    }

    @Test func `bytes are counted by the names that a router's owner gives, and further peers as one`() async throws {
        let context = try Context()
        var limits = ChannelLimits()
        limits.countedPeers = 3
        let router = try await MessageChannel.bind(
            Endpoint("tcp://127.0.0.1:0"), context: context, limits: limits
        ) { "peer \($0)" }
        for name in ["a", "b", "c", "d", "a"] {
            var options = SocketOptions()
            options.routingIdentity = try RoutingIdentity(name)
            let dealer = try await MessageChannel.connect(router.endpoint, context: context, options: options)
            try await dealer.send(Message([.number(1), .number(2, byteCount: 92)]))
            let received = try await router.receive()
            let identity = try #require(received.routingIdentity)
            try await router.send(Message(to: identity, [.number(3, byteCount: 10)]))
            _ = try await dealer.receive()
            await dealer.close()
            // A peer that returns under its name is accepted only after the router has noticed the end of the first
            // connection.
            _ = try await firstEvent(of: router, "the end of \(name)") {
                if case .disconnected = $0 { true } else { false }
            }
        }
        var once = PeerTraffic()
        (once.sentBytes, once.receivedBytes) = (10, 100)
        var twice = PeerTraffic()
        (twice.sentBytes, twice.receivedBytes) = (20, 200)
        #expect(router.statistics.peers == ["peer a": twice, "peer b": once, "other": twice])
        #expect(router.statistics.sentBytes == 50)
        #expect(router.statistics.receivedBytes == 500)
        await router.close()
    }

    @Test func `hanging up on who has gone leaves a later connection of the same number alone`() async throws {
        let context = try Context()
        let router = try await MessageChannel.bind(Endpoint("tcp://127.0.0.1:0"), context: context)
        let first = try await MessageChannel.connect(router.endpoint, context: context)
        try await first.send(Message(["first"]))
        let left = try await router.receive()
        await first.close()
        _ = try await firstEvent(of: router, "the end") { if case .disconnected = $0 { true } else { false } }
        // The kernel gives the lowest free number, most likely that of the first connection.
        let second = try await MessageChannel.connect(router.endpoint, context: context)
        try await second.send(Message(["second"]))
        let received = try await router.receive()
        left.hangUp()
        try await router.send(Message(to: received.routingIdentity, ["still there"]))
        #expect(try await second.receive().frames == ["still there"])
        received.hangUp()
        _ = try await firstEvent(of: router, "the end") { if case .disconnected = $0 { true } else { false } }
        await second.close()
        await router.close()
    }

    @Test func `a frame of 64 MiB arrives whole`() async throws {
        let context = try Context()
        let router = try await MessageChannel.bind(Endpoint("tcp://127.0.0.1:0"), context: context)
        let dealer = try await MessageChannel.connect(router.endpoint, context: context)
        var payload = try PayloadBuffer(byteCount: 64 << 20)
        payload.withMutableBytes { bytes in
            for offset in stride(from: 0, to: bytes.byteCount, by: 8) {
                bytes.storeBytes(of: UInt64(offset) &* 0x9E37_79B9_7F4A_7C15, toByteOffset: offset, as: UInt64.self)
            }
        }
        let frame = Frame(payload)
        try await dealer.send(Message([frame]))
        let received = try await router.receive()
        #expect(received.frames == [frame])
        await dealer.close()
        await router.close()
    }

    @Test func `an owner is released once, after its frame is sent`() async throws {
        let releases = Counter()
        let messageCount = 10
        do {
            let context = try Context()
            let router = try await MessageChannel.bind(Endpoint("tcp://127.0.0.1:0"), context: context)
            let dealer = try await MessageChannel.connect(router.endpoint, context: context)
            for _ in 0..<messageCount {
                try await dealer.send(Message([CountedBytes(byteCount: 1 << 20, releases: releases).frame]))
            }
            for _ in 0..<messageCount {
                #expect(try await router.receive().frames == [Frame([UInt8](repeating: 7, count: 1 << 20))])
            }
            try await waitUntil("all owners to be released") { releases.count == messageCount }
            await dealer.close()
            await router.close()
        }
        #expect(releases.count == messageCount)
    }

    @Test(arguments: [false, true])
    func `an owner is released once when the peer never connects`(isImmediate: Bool) async throws {
        let releases = Counter()
        let closedEndpoint = try ClosedPort.endpoint
        do {
            let context = try Context()
            var options = SocketOptions()
            options.linger = .zero
            options.isImmediate = isImmediate
            let dealer = try await MessageChannel.connect(closedEndpoint, context: context, options: options)
            for _ in 0..<3 {
                try await dealer.send(Message([CountedBytes(byteCount: 1 << 20, releases: releases).frame]))
            }
            let unsentCount = await dealer.close(flushingFor: isImmediate ? .zero : .seconds(30))
            #expect(unsentCount == (isImmediate ? 3 : 0))
        }
        try await waitUntil("all owners to be released") { releases.count == 3 }
    }

    @Test func `a peer can be forwarded what was received, without a copy`() async throws {
        let context = try Context()
        let router = try await MessageChannel.bind(Endpoint("inproc://forward"), context: context)
        let dealer = try await MessageChannel.connect(router.endpoint, context: context)
        let frame = Frame.number(5, byteCount: 100_000)
        try await dealer.send(Message([frame]))
        let received = try await router.receive()
        try await router.send(received)
        try await router.send(received)
        #expect(try await dealer.receive().frames == [frame])
        #expect(try await dealer.receive().frames == [frame])
        await dealer.close()
        await router.close()
    }
}
