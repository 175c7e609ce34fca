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

    @Test func `reception pauses at the limit and resumes at half of it`() {
        var limits = ChannelLimits()
        limits.inboundMessages = 4
        var buffer = InboundBuffer(limits: limits)
        var pauses: [Bool] = []
        for _ in 0..<4 {
            pauses.append(buffer.pauseIfFull())
            buffer.append(Message(["x"]))
        }
        pauses.append(buffer.pauseIfFull())
        #expect(pauses == [false, false, false, false, true])
        var signals: [Bool] = []
        while buffer.popFirst() != nil { signals.append(buffer.takeRoomSignal()) }
        #expect(signals == [false, true, false, false])
        #expect(!buffer.isPaused)
    }

    @Test func `reception pauses at the limit of bytes`() {
        var limits = ChannelLimits()
        limits.inboundBytes = 10
        var buffer = InboundBuffer(limits: limits)
        buffer.append(Message(["0123456789"]))
        let pausesWhenFull = buffer.pauseIfFull()
        let message = buffer.popFirst()
        let pausesWhenEmpty = buffer.pauseIfFull()
        #expect(pausesWhenFull)
        #expect(message?.byteCount == 10)
        #expect(buffer.byteCount == 0)
        #expect(!pausesWhenEmpty)
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
