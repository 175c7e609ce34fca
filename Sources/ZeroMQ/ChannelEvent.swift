internal import CZeroMQ

/// What happened to a channel's connections and messages.
public enum ChannelEvent: Equatable, Sendable {
    /// A connection to `endpoint` stands; the handshake follows.
    case connected(endpoint: String)
    /// A connection to `endpoint` will be tried again after a pause.
    case connectRetried(endpoint: String, after: Duration)
    /// A peer connected to the bound `endpoint`; the handshake follows.
    case accepted(endpoint: String)
    /// The endpoint could not be bound.
    case bindFailed(endpoint: String, errorNumber: Int32)
    /// Both sides have agreed on the protocol and, with CURVE, know each other's keys.
    case handshakeSucceeded(endpoint: String)
    /// A connection ended before that; see ``HandshakeFailure/isFinal`` for what a dealer does next.
    case handshakeFailed(endpoint: String, HandshakeFailure)
    /// A connection ended.
    case disconnected(endpoint: String)
    /// A connection or the bound endpoint was closed by this side.
    case closed(endpoint: String)

    /// Messages for a peer that is not connected were dropped; `dropped` of them since the last such event.
    case peerUnreachable(RoutingIdentity, dropped: Int)
    /// Messages for a peer whose queue is full were dropped; `dropped` of them since the last such event.
    case peerBlocked(RoutingIdentity, dropped: Int)
    /// A received message broke a limit and was dropped, and its connection ended; only a router knows the sender.
    case malformed(RoutingIdentity?, MalformedMessage)
    /// The router made its socket anew, and its peers connect again: connections that claimed taken names had left so
    /// many bytes in the old one.
    case renewed(byteCount: UInt64)
    /// A peer sent more than is held for it, and its connection ended.
    case flooded(host: String, byteCount: UInt64)
    /// So many older events were dropped because nobody read them.
    case eventsDropped(Int)
    /// The channel stopped by itself; it behaves as closed from here on.
    case failed(ZeroMQError)
}

/// Why a connection did not get past its greeting.
public enum HandshakeFailure: Equatable, Sendable {
    /// The connection broke, or took too long; the errno says how.
    case connectionLost(errorNumber: Int32)
    /// The peer broke ZMTP; the code is one of `ZMQ_PROTOCOL_ERROR_*`, and a wrong key shows as cryptographic.
    case protocolError(code: Int32)
    /// The authenticator refused the peer's key; the status is RFC 27's, 300, 400 or 500.
    case refused(status: Int32)

    /// Whether a dealer has to open a new channel to try again.
    ///
    /// After a refusal or a breach of protocol libzmq ends the session for good, or, if the connection breaks before
    /// it has read the reason, does not: nothing can be relied on but a new socket (libzmq issues 2329 and 3519).
    public var isFinal: Bool {
        switch self {
        case .connectionLost: false
        case .protocolError, .refused: true
        }
    }

    /// Whether the peer's greeting could not be decrypted: it used another server key than ours.
    public var isCryptographic: Bool {
        self == .protocolError(code: ZMQ_PROTOCOL_ERROR_ZMTP_CRYPTOGRAPHIC)
    }
}

/// What was wrong with a received message.
public enum MalformedMessage: Equatable, Sendable {
    /// It had no frame besides the identity.
    case empty
    /// It had `count` frames.
    case tooManyFrames(count: Int, limit: Int)
    /// It had `byteCount` bytes.
    case tooLarge(byteCount: Int, limit: Int)
}
