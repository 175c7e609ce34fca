import Testing

@testable import ZeroMQ

struct QueueTests {
    @Test func `a ring queue keeps the order while it wraps and grows`() {
        var queue = RingQueue<Int>()
        var popped: [Int] = []
        for number in 0..<100 {
            queue.append(number)
            if number % 3 != 0, let first = queue.popFirst() { popped.append(first) }
            #expect(queue.first == popped.count)
            #expect(queue.last == number)
            #expect(queue.count == number + 1 - popped.count)
        }
        while let first = queue.popFirst() { popped.append(first) }
        #expect(popped == Array(0..<100))
        #expect(queue.isEmpty)
        #expect(queue.last == nil)
    }

    @Test func `a peer that has too many messages waiting is refused the next one, and keeps those`() throws {
        var limits = ChannelLimits()
        limits.inboundMessagesPerPeer = 2
        limits.inboundBytesPerPeer = 10
        var buffer = InboundBuffer(limits: limits)
        let (many, large) = (try RoutingIdentity("many"), try RoutingIdentity("large"))
        #expect(offer(Message(to: many, ["x"]), to: &buffer) == [])
        #expect(offer(Message(to: many, ["x"]), to: &buffer) == [])
        #expect(offer(Message(to: many, ["x"]), to: &buffer) == [many])
        // The first message may have any size.
        #expect(offer(Message(to: large, ["0123456789a"]), to: &buffer) == [])
        #expect(offer(Message(to: large, [""]), to: &buffer) == [large])
        #expect(buffer.messageCount == 3)
        while buffer.popFirst() != nil { continue }
        #expect(offer(Message(to: many, ["x"]), to: &buffer) == [])
        #expect(offer(Message(to: large, ["x"]), to: &buffer) == [])
    }

    @Test func `above the bound of all, the peer with the most bytes loses what waits`() throws {
        var limits = ChannelLimits()
        limits.inboundBytes = 10
        var buffer = InboundBuffer(limits: limits)
        let (small, large) = (try RoutingIdentity("small"), try RoutingIdentity("large"))
        for frame: Frame in ["12", "345"] { #expect(offer(Message(to: large, [frame]), to: &buffer) == []) }
        #expect(offer(Message(to: small, ["123"]), to: &buffer) == [])
        #expect(offer(Message(to: small, ["12"]), to: &buffer) == [])
        #expect(buffer.byteCount == 10)
        #expect(offer(Message(to: small, [""]), to: &buffer) == [])
        // Another peer has as much as the sender would have, so that peer loses its connection.
        #expect(offer(Message(to: try RoutingIdentity("third"), ["1"]), to: &buffer).count == 1)
        #expect(buffer.byteCount <= 10)
        let fourth = try RoutingIdentity("fourth")
        #expect(offer(Message(to: fourth, ["0123456789a"]), to: &buffer) == [fourth])
    }

    @Test func `above the number of all messages, the peer with the most of them loses what waits`() throws {
        var limits = ChannelLimits()
        limits.inboundMessages = 4
        var buffer = InboundBuffer(limits: limits)
        let (few, many) = (try RoutingIdentity("few"), try RoutingIdentity("many"))
        for _ in 0..<3 { #expect(offer(Message(to: many, ["x"]), to: &buffer) == []) }
        #expect(offer(Message(to: few, [Frame([UInt8](repeating: 1, count: 100))]), to: &buffer) == [])
        #expect(offer(Message(to: few, ["x"]), to: &buffer) == [many])
        #expect(buffer.messageCount == 2)
        #expect(buffer.byteCount == 101)
    }

    @Test func `each peer has a share whatever is held for others`() throws {
        var limits = ChannelLimits()
        (limits.heldBytes, limits.heldBytesPerPeer, limits.heldBytesAlways) = (10, 8, 4)
        let held = HeldFrames(limits: limits)
        let (first, second, third) = (
            try RoutingIdentity("first"), try RoutingIdentity("second"), try RoutingIdentity("third")
        )
        let frames = [first, second].map { held.counting("12345", for: $0) }
        #expect(held.byteCount == 10)
        #expect(!held.hasRoom(for: 1, of: first))
        // Copied frames are not held, and the first message of a peer may have any size.
        #expect(held.hasRoom(for: 0, of: first))
        #expect(held.hasRoom(for: 100, of: third))
        let small = held.counting("1", for: third)
        #expect(held.hasRoom(for: 3, of: third))
        #expect(!held.hasRoom(for: 4, of: third))
        #expect(held.byteCount { $0 != first } == 6)
        withExtendedLifetime((frames, small)) {}
    }

    /// Appends a message if there is room; returns the peer that lost its connection for it.
    private func offer(_ message: Message, to buffer: inout InboundBuffer) -> [RoutingIdentity?] {
        let (isAdmitted, overruns) = buffer.makeRoom(for: message)
        if isAdmitted { buffer.append(message) }
        return overruns.map(\.message.routingIdentity)
    }

    @Test func `what an ended connection still delivers is known, and another of its name is not`() throws {
        let peer = try RoutingIdentity("peer")
        var ended = EndedPeers()
        #expect(!ended.contains(peer, nil))
        ended.insert(peer, nil)
        #expect(ended.contains(peer, nil))
        #expect(!ended.contains(nil, nil))
        for number in 0..<EndedPeers.countMax { ended.insert(try RoutingIdentity("other-\(number)"), nil) }
        #expect(!ended.contains(peer, nil))
    }

    @Test func `old events give way and are counted`() throws {
        var limits = ChannelLimits()
        limits.events = 2
        var buffer = EventBuffer(limits: limits)
        for number in 1...4 { buffer.append(.connected(endpoint: "\(number)")) }
        #expect(
            drained(&buffer) == [.eventsDropped(2), .connected(endpoint: "3"), .connected(endpoint: "4")]
        )
    }

    @Test func `a burst of dropped messages for one peer is one event`() throws {
        let (first, second) = (try RoutingIdentity("first"), try RoutingIdentity("second"))
        var buffer = EventBuffer(limits: ChannelLimits())
        buffer.append(.peerBlocked(first, dropped: 1))
        buffer.append(.peerBlocked(first, dropped: 1))
        buffer.append(.peerBlocked(second, dropped: 1))
        buffer.append(.peerUnreachable(second, dropped: 1))
        #expect(
            drained(&buffer) == [
                .peerBlocked(first, dropped: 2), .peerBlocked(second, dropped: 1),
                .peerUnreachable(second, dropped: 1),
            ]
        )
    }

    // zmq_socket_monitor(3): a 16-bit event and a 32-bit value.
    @Test func `monitor frames are read, and nonsense is not`() {
        #expect(ChannelEvent(monitorFrame: [0x01, 0, 0, 0, 0, 0], endpoint: "e") == .connected(endpoint: "e"))
        let refused = ChannelEvent.handshakeFailed(endpoint: "e", .refused(status: 400))
        #expect(ChannelEvent(monitorFrame: [0, 0x40, 0x90, 0x01, 0, 0], endpoint: "e") == refused)
        #expect(ChannelEvent(monitorFrame: [1, 0], endpoint: "e") == nil)
        #expect(ChannelEvent(monitorFrame: [0xff, 0xff, 0, 0, 0, 0], endpoint: "e") == nil)
    }

    private func drained(_ buffer: inout EventBuffer) -> [ChannelEvent] {
        var events: [ChannelEvent] = []
        while let event = buffer.popFirst() { events.append(event) }
        return events
    }
}
