/// Events that wait for their consumer; the oldest are dropped and counted.
struct EventBuffer: MailboxBuffer {
    private var events = RingQueue<ChannelEvent>()
    private var droppedCount = 0
    private let eventsMax: Int

    init(limits: ChannelLimits) {
        eventsMax = max(limits.events, 1)
    }

    mutating func append(_ event: ChannelEvent) {
        // A burst for one peer becomes one event with a sum.
        if let last = events.last, let merged = last.merged(with: event) {
            events.last = merged
            return
        }
        if events.count == eventsMax {
            events.popFirst()
            droppedCount += 1
        }
        events.append(event)
    }

    mutating func popFirst() -> ChannelEvent? {
        if droppedCount > 0 {
            defer { droppedCount = 0 }
            return .eventsDropped(droppedCount)
        }
        return events.popFirst()
    }
}

extension ChannelEvent {
    /// One event for two of the same peer and kind, or nil.
    fileprivate func merged(with next: ChannelEvent) -> ChannelEvent? {
        switch (self, next) {
        case (.peerUnreachable(let peer, let dropped), .peerUnreachable(let nextPeer, let more)) where peer == nextPeer:
            .peerUnreachable(peer, dropped: dropped + more)
        case (.peerBlocked(let peer, let dropped), .peerBlocked(let nextPeer, let more)) where peer == nextPeer:
            .peerBlocked(peer, dropped: dropped + more)
        default:
            nil
        }
    }
}
