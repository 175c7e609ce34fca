/// How a socket behaves on the wire; every default is finite.
///
/// Source: zmq_setsockopt(3). Each property names its option. Durations are rounded up to whole milliseconds.
public struct SocketOptions: Sendable {
    /// Messages libzmq queues for one peer before it refuses more (`ZMQ_SNDHWM`), at least 1.
    ///
    /// A message of any size counts once: credit in the protocol bounds the bytes.
    public var sendHighWaterMark = 256

    /// The largest frame on the wire, in bytes, the same on both sides.
    ///
    /// A larger frame ends the connection (`ZMQ_MAXMSGSIZE`). Larger frames of ours travel in pieces: see
    /// ``FramePieces``.
    ///
    /// The limit holds for handshake frames too. So it bounds what a peer without a proved key can make this side hold.
    /// Measured with CURVE: 64 KiB are as fast as 1 MiB, and 16 KiB take a third more of the processor.
    public var maximumFrameBytes = 64 << 10

    /// How often a silent connection is probed, or nil for never (`ZMQ_HEARTBEAT_IVL`).
    public var heartbeatInterval: Duration? = .seconds(5)

    /// How long a probe may stay unanswered (`ZMQ_HEARTBEAT_TIMEOUT`).
    public var heartbeatTimeout: Duration = .seconds(15)

    /// The silence after which the peer drops this side (`ZMQ_HEARTBEAT_TTL`), up to 6553 seconds.
    public var heartbeatTimeToLive: Duration = .seconds(20)

    /// How long a connection may take to greet and authenticate (`ZMQ_HANDSHAKE_IVL`).
    public var handshakeInterval: Duration = .seconds(10)

    /// How long libzmq keeps trying to send after the socket is closed (`ZMQ_LINGER`).
    public var linger: Duration = .seconds(1)

    /// Probing of idle TCP connections by the kernel, or nil to leave it off (`ZMQ_TCP_KEEPALIVE`).
    public var tcpKeepalive: TCPKeepalive? = TCPKeepalive()

    /// How long a peer may leave data unread before its TCP connection ends (`ZMQ_TCP_MAXRT`).
    ///
    /// Probes do not notice such a peer, because its kernel answers them.
    public var unreadTimeout: Duration? = .seconds(30)

    /// The first pause before connecting again (`ZMQ_RECONNECT_IVL`).
    public var reconnectInterval: Duration = .milliseconds(100)

    /// The longest pause, reached by doubling (`ZMQ_RECONNECT_IVL_MAX`).
    public var maximumReconnectInterval: Duration = .seconds(5)

    /// Whether messages wait in the channel until a connection is established (`ZMQ_IMMEDIATE`).
    ///
    /// False queues messages for a future connection, and keeps them when a connection breaks.
    public var isImmediate = false

    /// The identity that a dealer gives to the router, or nil when the router makes one up (`ZMQ_ROUTING_ID`).
    public var routingIdentity: RoutingIdentity?

    /// Whether names may resolve to IPv6 addresses (`ZMQ_IPV6`); an endpoint written in IPv6 turns this on by itself.
    public var isIPv6Enabled = false

    /// Encryption and authentication, or nil for none.
    public var curve: CurveRole?

    /// The domain that the authenticator is told (`ZMQ_ZAP_DOMAIN`); servers only.
    public var zapDomain = "kfacd"

    /// Makes the defaults.
    public init() {}

    /// Whether peers must prove a key.
    var hasAuthenticator: Bool {
        guard case .server(_, authenticator: .some) = curve else { return false }
        return true
    }
}

/// When the kernel probes an idle TCP connection.
public struct TCPKeepalive: Equatable, Sendable {
    /// The silence before the first probe (`ZMQ_TCP_KEEPALIVE_IDLE`), rounded up to seconds.
    public var idle: Duration = .seconds(60)

    /// The pause between probes (`ZMQ_TCP_KEEPALIVE_INTVL`), rounded up to seconds.
    public var interval: Duration = .seconds(15)

    /// The unanswered probes that end the connection (`ZMQ_TCP_KEEPALIVE_CNT`).
    public var probeCount = 4

    /// Makes the defaults.
    public init() {}
}

/// A socket's part in CURVE (zmq_curve(7)).
public enum CurveRole: Sendable {
    /// The side whose public key the others know.
    ///
    /// Without an authenticator the traffic is encrypted, but every key is accepted.
    case server(CurveKeyPair, authenticator: CurveAuthenticator?)

    /// The side that knows the server's public key and proves its own.
    case client(CurveKeyPair, serverKey: CurvePublicKey)
}
