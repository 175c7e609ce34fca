internal import Synchronization

/// The kind of socket that a channel has.
enum ChannelRole {
    case router
    case dealer
}

/// The state that a channel's users and its thread share.
final class ChannelCore: Sendable {
    /// The stage of the channel's life.
    enum Phase {
        /// Can transition to:
        ///   - `closing` when the user closes the channel or drops it
        ///   - `finished` if a call on the socket fails
        case running
        /// Can transition to:
        ///   - `closing` with an earlier deadline
        ///   - `finished` when every message is handed over or the deadline has passed
        case closing(flushDeadline: ContinuousClock.Instant)
        case finished(unsentMessages: Int)
    }

    private struct Control {
        var phase = Phase.running
        var closers: [CheckedContinuation<Int, Never>] = []
        var sentMessages = 0
        var droppedMessages = 0
        var sentBytes: UInt64 = 0
        var receivedBytes: UInt64 = 0
        var peers: [String: PeerTraffic] = [:]
        var connections = 0
        var unheardConnections = 0
        var unheardEnds: [UnheardEnd: Int] = [:]
        var renewals = 0
        /// Connections that ended since the last call of ``takeRecentEnds()``.
        var recentEnds = UnheardConnectionsReport()

        /// Adds to a peer's counts; names beyond the limit share one entry.
        mutating func count(_ name: String, limit: Int, _ change: (inout PeerTraffic) -> Void) {
            let isKnown = peers[name] != nil || peers.count < limit - 1
            change(&peers[isKnown ? name : ChannelLimits.otherPeers, default: PeerTraffic()])
        }
    }

    let role: ChannelRole
    let limits: ChannelLimits
    let wakeSignal: WakeSignal
    let outbound: OutboundQueue
    let inbound: Mailbox<InboundBuffer>
    let events: Mailbox<EventBuffer>
    let held: HeldFrames
    private let control = Mutex(Control())
    private let peerName: MessageChannel.PeerNaming?

    init(
        role: ChannelRole, limits: ChannelLimits, peerName: MessageChannel.PeerNaming?
    ) throws(ZeroMQError) {
        let wakeSignal = try WakeSignal()
        self.peerName = peerName
        self.role = role
        self.limits = limits
        self.wakeSignal = wakeSignal
        outbound = OutboundQueue(limits: limits) { wakeSignal.wake() }
        inbound = Mailbox(InboundBuffer(limits: limits))
        events = Mailbox(EventBuffer(limits: limits))
        held = HeldFrames(limits: limits)
    }

    // MARK: - For users

    /// Refuses a message that breaks the channel's rules.
    ///
    /// - Throws: what is wrong with the message; nothing was changed.
    func check(_ message: Message) throws(ZeroMQError) {
        switch (role, message.routingIdentity) {
        case (.router, nil): throw .missingRoutingIdentity
        case (.dealer, .some): throw .unexpectedRoutingIdentity
        default: break
        }
        guard !message.frames.isEmpty else { throw .emptyMessage }
        guard message.frames.count <= limits.framesPerMessage else {
            throw .tooManyFrames(count: message.frames.count, limit: limits.framesPerMessage)
        }
        guard message.byteCount <= limits.messageBytes else {
            throw .messageTooLarge(byteCount: message.byteCount, limit: limits.messageBytes)
        }
    }

    /// Accepts no more messages, and gives the queued ones until `deadline`; a second call can only shorten that time.
    func beginClosing(flushDeadline deadline: ContinuousClock.Instant) {
        outbound.close()
        control.withLock { control in
            switch control.phase {
            case .running: control.phase = .closing(flushDeadline: deadline)
            case .closing(let earlier): control.phase = .closing(flushDeadline: min(earlier, deadline))
            case .finished: break
            }
        }
        wakeSignal.wake()
    }

    /// Waits until the thread has ended.
    ///
    /// - Returns: The number of queued messages that were not handed over.
    func finished() async -> Int {
        await withCheckedContinuation { continuation in
            let unsentMessages: Int? = control.withLock { control in
                if case .finished(let count) = control.phase { return count }
                control.closers.append(continuation)
                return nil
            }
            guard let unsentMessages else { return }
            continuation.resume(returning: unsentMessages)
        }
    }

    var statistics: ChannelStatistics {
        var statistics = ChannelStatistics()
        let queued = outbound.counts
        statistics.outboundMessages = queued.messages
        statistics.outboundBytes = queued.bytes
        statistics.waitingSenders = queued.waiters
        let received = inbound.withBuffer { $0 }
        statistics.inboundMessages = received.messageCount
        statistics.inboundBytes = received.byteCount
        statistics.receivedMessages = received.receivedMessages
        statistics.heldBytes = held.byteCount
        control.withLock { control in
            statistics.sentMessages = control.sentMessages
            statistics.droppedMessages = control.droppedMessages
            statistics.sentBytes = control.sentBytes
            statistics.receivedBytes = control.receivedBytes
            statistics.peers = control.peers
            statistics.connections = control.connections
            statistics.unheardConnections = control.unheardConnections
            statistics.unheardEnds = control.unheardEnds
            statistics.renewals = control.renewals
        }
        return statistics
    }

    /// Connections that ended before they delivered a message, since the last call.
    func takeRecentEnds() -> UnheardConnectionsReport {
        control.withLock { control in
            defer { control.recentEnds = UnheardConnectionsReport() }
            return control.recentEnds
        }
    }

    // MARK: - For the socket's thread

    var phase: Phase { control.withLock { $0.phase } }

    func countSent(byteCount: Int, to peer: RoutingIdentity?) {
        let name = peer.flatMap { peerName?($0) }
        control.withLock { control in
            control.sentMessages += 1
            control.sentBytes &+= UInt64(byteCount)
            if let name { control.count(name, limit: limits.countedPeers) { $0.sentBytes &+= UInt64(byteCount) } }
        }
    }

    func countReceived(byteCount: Int, from peer: RoutingIdentity?) {
        let name = peer.flatMap { peerName?($0) }
        let byteCount = UInt64(clamping: byteCount)
        control.withLock { control in
            control.receivedBytes &+= byteCount
            if let name { control.count(name, limit: limits.countedPeers) { $0.receivedBytes &+= byteCount } }
        }
    }

    func countUnheard(from host: String, _ end: UnheardEnd) {
        control.withLock { control in
            control.unheardEnds[end, default: 0] += 1
            control.recentEnds.add(host, end)
        }
    }

    func setConnections(all: Int, unheard: Int) {
        control.withLock { ($0.connections, $0.unheardConnections) = (all, unheard) }
    }

    func countRenewal() {
        control.withLock { $0.renewals += 1 }
    }

    func countDropped() {
        control.withLock { $0.droppedMessages += 1 }
    }

    /// Ends every wait.
    ///
    /// It is the thread's last act; the sockets are already closed.
    func finish() {
        outbound.close()
        let unsentMessages = outbound.removeAll()
        inbound.finish()
        events.finish()
        let closers = control.withLock { control in
            control.phase = .finished(unsentMessages: unsentMessages)
            defer { control.closers = [] }
            return control.closers
        }
        for closer in closers { closer.resume(returning: unsentMessages) }
    }
}
