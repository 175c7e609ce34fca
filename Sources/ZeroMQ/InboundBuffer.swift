/// Received messages that wait for the consumer.
///
/// Their number and bytes are bounded, for each peer and for all together.
///
/// The socket's thread calls ``makeRoom(for:)`` before it appends: a peer that exceeds a bound loses its connection.
struct InboundBuffer: MailboxBuffer {
    /// Messages of one peer.
    private struct Share {
        var messageCount = 0
        var byteCount = 0
    }

    /// The peer that must lose its connection so that the bounds hold.
    struct Overrun {
        /// Bytes that waited, plus those that would have been added.
        let byteCount: Int
        /// One of the peer's messages.
        let message: Message
    }

    private var messages = RingQueue<Message>()
    private(set) var byteCount = 0
    private(set) var receivedMessages = 0
    private var shares: [RoutingIdentity: Share] = [:]
    private let messagesMax: Int
    private let bytesMax: Int
    private let messagesPerPeerMax: Int
    private let bytesPerPeerMax: Int

    init(limits: ChannelLimits) {
        messagesMax = max(limits.inboundMessages, 1)
        bytesMax = max(limits.inboundBytes, 1)
        messagesPerPeerMax = max(limits.inboundMessagesPerPeer, 1)
        bytesPerPeerMax = max(limits.inboundBytesPerPeer, 1)
    }

    var messageCount: Int { messages.count }

    mutating func append(_ message: Message) {
        messages.append(message)
        byteCount += message.byteCount
        receivedMessages += 1
        guard let peer = message.routingIdentity else { return }
        shares[peer, default: Share()].messageCount += 1
        shares[peer, default: Share()].byteCount += message.byteCount
    }

    mutating func popFirst() -> Message? {
        guard let message = messages.popFirst() else { return nil }
        byteCount -= message.byteCount
        if let peer = message.routingIdentity, var share = shares[peer] {
            share.messageCount -= 1
            share.byteCount -= message.byteCount
            shares[peer] = share.messageCount > 0 ? share : nil
        }
        return message
    }

    /// Makes room for a message; the peer that takes too much loses its connection.
    ///
    /// - Returns: Whether the message may be appended, and the peer that loses its connection. A sender above its own
    ///   bound loses its connection, and its message must not be appended. Above the bound of all peers, the one with
    ///   the most waiting loses its connection, and its messages are removed.
    mutating func makeRoom(for message: Message) -> (isAdmitted: Bool, overruns: [Overrun]) {
        let share = message.routingIdentity.flatMap { shares[$0] } ?? Share()
        let (ownCount, ownBytes) = (share.messageCount + 1, share.byteCount + message.byteCount)
        let refusal = Overrun(byteCount: ownBytes, message: message)
        if share.messageCount > 0, ownCount > messagesPerPeerMax || ownBytes > bytesPerPeerMax {
            return (false, [refusal])
        }
        var overruns: [Overrun] = []
        while messages.count > 0, messages.count >= messagesMax || byteCount + message.byteCount > bytesMax {
            let isCrowded = messages.count >= messagesMax
            let largest = shares.max { left, right in
                isCrowded
                    ? left.value.messageCount < right.value.messageCount
                    : left.value.byteCount < right.value.byteCount
            }
            guard let (peer, most) = largest,
                isCrowded ? most.messageCount >= ownCount : most.byteCount >= ownBytes,
                let overrun = removeAll(of: peer)
            else { return (false, overruns + [refusal]) }
            overruns.append(overrun)
            if peer == message.routingIdentity { return (false, overruns) }
        }
        return (true, overruns)
    }

    private mutating func removeAll(of peer: RoutingIdentity) -> Overrun? {
        let removed = messages.removeAll { $0.routingIdentity == peer }
        guard let share = shares.removeValue(forKey: peer), let last = removed.last else { return nil }
        byteCount -= share.byteCount
        return Overrun(byteCount: share.byteCount, message: last)
    }
}
