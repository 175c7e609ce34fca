/// How much a channel holds, and what it takes for malformed.
public struct ChannelLimits: Equatable, Sendable {
    /// Messages that wait to be handed to libzmq; at this number `send` suspends.
    public var outboundMessages = 64

    /// Their bytes; one message is accepted into an empty queue whatever its size.
    public var outboundBytes = 64 << 20

    /// Messages that wait for the consumer; above it the peer with the most of them loses its connection, and they go.
    ///
    /// With ``SocketOptions/receiveHighWaterMark`` the channel stops receiving instead, at this number.
    public var inboundMessages = 1 << 18

    /// Their bytes; the same, but the channel stops receiving after the message that reaches it.
    public var inboundBytes = 1 << 30

    /// Messages of one peer of a router that wait for the consumer; above it the peer's connection ends.
    public var inboundMessagesPerPeer = 4096

    /// Their bytes; the same, but one message waits whatever its size.
    public var inboundBytesPerPeer = 128 << 20

    /// Frames of one message, sent or received, without the identity frame.
    public var framesPerMessage = 8

    /// Bytes of one message, sent or received.
    public var messageBytes = 65 << 20

    /// Bytes of one received message, where that is less than ``messageBytes``.
    public var receivedMessageBytes = Int.max

    /// Bytes that libzmq holds for one peer of a router; messages above it are dropped, the first excepted.
    public var heldBytesPerPeer = 256 << 20

    /// Bytes that libzmq holds for all peers of a router; above it a peer gets what ``heldBytesAlways`` has room for.
    public var heldBytes = 1 << 30

    /// Bytes that libzmq always holds for a peer of a router, so that other peers cannot silence it.
    public var heldBytesAlways = 8 << 20

    /// Bytes that one TCP connection to a router has sent of a message without its end; above it the connection ends.
    ///
    /// Must be more than ``messageBytes`` and a kernel's buffers, or well-behaved peers lose their connections.
    public var unfinishedBytesPerConnection = 96 << 20

    /// Bytes that one TCP connection to a router has sent and that are not delivered; above it the connection ends.
    ///
    /// Must be more than comes while the channel's thread is busy, or well-behaved peers lose their connections.
    public var undeliveredBytesPerConnection = 256 << 20

    /// Bytes that all of them have sent and that are not delivered; above it those end that sent the most.
    public var undeliveredBytes = 1 << 30

    /// Connections to a router by which no message has come yet; above it the host with the most loses its oldest.
    ///
    /// Fewer where the process may not open many files: see ``ConnectionRoom``.
    public var unheardConnections = 1024

    /// Connections to a router; above it those end by which no message has come yet, or the newest.
    public var connections = 16_384

    /// Bytes that a connection to a router may send before it has proved a key, where keys are asked for.
    ///
    /// A handshake takes less than 1000. What comes until it is looked at is bounded by
    /// ``SocketOptions/maximumFrameBytes``.
    public var handshakeBytes = 4096

    /// How long a connection to a router may take to its first message.
    public var firstMessageTime: Duration = .seconds(30)

    /// Bytes that libzmq may keep of connections that claimed a taken name; above it the router makes its socket anew,
    /// and all peers connect again.
    public var undeliverableBytes = 512 << 20

    /// Events that wait for their consumer; the oldest give way.
    public var events = 256

    /// Names of peers whose bytes are counted by themselves; what others send and are sent counts as ``otherPeers``.
    public var countedPeers = 64

    /// What the peers beyond ``countedPeers`` are counted as.
    public static let otherPeers = "other"

    /// Makes the defaults.
    public init() {}
}

/// What went to and came from a peer since the start of a channel.
public struct PeerTraffic: Equatable, Sendable {
    /// Bytes of the frames handed to libzmq.
    public var sentBytes: UInt64 = 0
    /// Bytes of the frames received, those of malformed messages too.
    public var receivedBytes: UInt64 = 0

    /// Nothing yet.
    public init() {}
}

/// What a channel holds and has done, at one moment.
public struct ChannelStatistics: Equatable, Sendable {
    /// Messages that wait to be handed to libzmq.
    public var outboundMessages = 0
    /// Their bytes.
    public var outboundBytes = 0
    /// Tasks suspended in `send`.
    public var waitingSenders = 0
    /// Messages that wait for the consumer.
    public var inboundMessages = 0
    /// Their bytes.
    public var inboundBytes = 0
    /// Whether reception is stopped because the consumer is behind.
    public var isReceptionPaused = false
    /// Bytes handed to libzmq that it still holds; routers only.
    public var heldBytes = 0
    /// Messages handed to libzmq since the start.
    public var sentMessages = 0
    /// Messages dropped instead: peers unknown or full.
    public var droppedMessages = 0
    /// Bytes of the frames handed to libzmq since the start, without identities and what the transport adds.
    public var sentBytes: UInt64 = 0
    /// Bytes of the frames received since the start, those of malformed messages too.
    public var receivedBytes: UInt64 = 0
    /// Well-formed messages received since the start.
    public var receivedMessages = 0
    /// Connections to a router that stand.
    public var connections = 0
    /// Of these, those by which no message has come yet.
    public var unheardConnections = 0
    /// Connections to a router that ended before a message came by them, since the start.
    public var unheardEnds: [UnheardEnd: Int] = [:]
    /// How often a router made its socket anew.
    public var renewals = 0
    /// The same bytes by peer, under the names that the channel's owner gives them; empty when it gives none.
    public var peers: [String: PeerTraffic] = [:]
}
