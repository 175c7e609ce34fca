/// The most that a channel holds, and the most that a message may have.
public struct ChannelLimits: Equatable, Sendable {
    /// Messages that wait to be handed to libzmq; at this number `send` suspends.
    public var outboundMessages = 64

    /// Bytes of these messages; an empty queue accepts one message of any size.
    public var outboundBytes = 64 << 20

    /// Messages that wait for the consumer.
    ///
    /// Above this number the peer with the most loses its connection and its messages.
    public var inboundMessages = 1 << 18

    /// Bytes of these messages; the same rule holds, but one message of any size may wait.
    public var inboundBytes = 1 << 30

    /// Messages of one peer of a router that wait for the consumer; above this number the peer's connection ends.
    public var inboundMessagesPerPeer = 4096

    /// Bytes of these messages; the same rule holds, but one message of any size may wait.
    public var inboundBytesPerPeer = 128 << 20

    /// Frames of one message, sent or received, without the identity frame.
    public var framesPerMessage = 8

    /// Bytes of one message, sent or received.
    public var messageBytes = 65 << 20

    /// Bytes of one received message, where this limit is below ``messageBytes``.
    public var receivedMessageBytes = Int.max

    /// Bytes that libzmq holds for one peer of a router; messages above the limit are dropped, except the first.
    public var heldBytesPerPeer = 256 << 20

    /// Bytes that libzmq holds for all peers of a router; above the limit each peer may have only ``heldBytesAlways``.
    public var heldBytes = 1 << 30

    /// Bytes that libzmq may always hold for a peer of a router, so that other peers cannot silence it.
    public var heldBytesAlways = 8 << 20

    /// Bytes that one TCP connection to a router has sent of an unfinished message.
    ///
    /// Above the limit the connection ends.
    ///
    /// The limit must exceed ``messageBytes`` plus a kernel's buffers. Otherwise well-behaved peers lose their
    /// connections.
    public var unfinishedBytesPerConnection = 96 << 20

    /// Bytes that one TCP connection to a router sent and that are not delivered; above the limit the connection ends.
    ///
    /// The limit must exceed what arrives while the channel's thread is busy. Otherwise well-behaved peers lose their
    /// connections.
    public var undeliveredBytesPerConnection = 256 << 20

    /// Bytes that all TCP connections sent and that are not delivered; above the limit those that sent the most end.
    public var undeliveredBytes = 1 << 30

    /// Connections to a router that have not delivered a message.
    ///
    /// Above the limit the host with the most loses its oldest.
    ///
    /// The limit is lower in a process that may open few files: see ``ConnectionRoom``.
    public var unheardConnections = 1024

    /// Connections to a router.
    ///
    /// Above the limit those end that have not delivered a message; without any, the newest ends.
    public var connections = 16_384

    /// Bytes that a connection to a router may send before it has proved a key, if the router asks for keys.
    ///
    /// A handshake takes fewer than 1000. ``SocketOptions/maximumFrameBytes`` bounds what arrives before the check.
    public var handshakeBytes = 4096

    /// The time that a connection to a router has for its first message.
    public var firstMessageTime: Duration = .seconds(30)

    /// Bytes that libzmq may keep of connections that claimed a taken name.
    ///
    /// Above the limit the router makes its socket anew, and all peers connect again.
    public var undeliverableBytes = 512 << 20

    /// Events that wait for their consumer; above the limit the oldest are dropped.
    public var events = 256

    /// Peers that have a count of their own; the traffic of others counts as ``otherPeers``.
    public var countedPeers = 64

    /// The name under which the peers beyond ``countedPeers`` are counted.
    public static let otherPeers = "other"

    /// Makes the defaults.
    public init() {}
}

/// Bytes sent to and received from a peer since the channel started.
public struct PeerTraffic: Equatable, Sendable {
    /// Bytes of the frames handed to libzmq.
    public var sentBytes: UInt64 = 0
    /// Bytes of the frames received, malformed messages included.
    public var receivedBytes: UInt64 = 0

    /// Starts at zero.
    public init() {}
}

/// What a channel holds and has done so far.
public struct ChannelStatistics: Equatable, Sendable {
    /// Messages that wait to be handed to libzmq.
    public var outboundMessages = 0
    /// Bytes of these messages.
    public var outboundBytes = 0
    /// Tasks suspended in `send`.
    public var waitingSenders = 0
    /// Messages that wait for the consumer.
    public var inboundMessages = 0
    /// Bytes of these messages.
    public var inboundBytes = 0
    /// Bytes handed to libzmq that it still holds; routers only.
    public var heldBytes = 0
    /// Messages handed to libzmq since the start.
    public var sentMessages = 0
    /// Messages dropped because their peer was unknown or its queue was full.
    public var droppedMessages = 0
    /// Bytes of the frames handed to libzmq since the start, without identities and without the transport's overhead.
    public var sentBytes: UInt64 = 0
    /// Bytes of the frames received since the start, malformed messages included.
    public var receivedBytes: UInt64 = 0
    /// Well-formed messages received since the start.
    public var receivedMessages = 0
    /// Open connections to a router.
    public var connections = 0
    /// Open connections that have not delivered a message.
    public var unheardConnections = 0
    /// Connections to a router that ended before they delivered a message, since the start.
    public var unheardEnds: [UnheardEnd: Int] = [:]
    /// How many times a router made its socket anew.
    public var renewals = 0
    /// The same bytes by peer, under the names that the channel's owner gives; empty when the owner gives none.
    public var peers: [String: PeerTraffic] = [:]
}
