internal import CZeroMQ

/// An event of a channel's connections or messages.
public enum ChannelEvent: Equatable, Sendable {
    /// A connection to `endpoint` is established; the handshake follows.
    case connected(endpoint: String)
    /// The channel will try a connection to `endpoint` again after a pause.
    case connectRetried(endpoint: String, after: Duration)
    /// The channel listens at `endpoint`.
    case listening(endpoint: String)
    /// A peer connected to the bound `endpoint`; the handshake follows.
    case accepted(endpoint: String)
    /// The endpoint could not be bound.
    case bindFailed(endpoint: String, errorNumber: Int32)
    /// Both sides have agreed on the protocol; with CURVE, each side knows the other's key.
    case handshakeSucceeded(endpoint: String)
    /// A connection ended before its handshake was complete; ``HandshakeFailure/isFinal`` says what a dealer does next.
    case handshakeFailed(endpoint: String, HandshakeFailure)
    /// A connection ended.
    case disconnected(endpoint: String)
    /// This side closed a connection or the bound endpoint.
    case closed(endpoint: String)

    /// The router dropped messages for a peer that is not connected: `dropped` of them since the last such event.
    case peerUnreachable(RoutingIdentity, dropped: Int)
    /// The router dropped messages for a peer whose queue is full: `dropped` of them since the last such event.
    case peerBlocked(RoutingIdentity, dropped: Int)
    /// A received message broke a limit.
    ///
    /// It was dropped, and its connection ended. Only a router knows the sender.
    case malformed(RoutingIdentity?, MalformedMessage)
    /// The router made its socket anew, and its peers connect again.
    ///
    /// Connections that claimed taken names had left `byteCount` bytes in the old socket.
    case renewed(byteCount: UInt64)
    /// A peer sent more bytes than the channel holds for it, and its connection ended.
    case flooded(host: String, byteCount: UInt64)
    /// This number of older events was dropped because nobody read them.
    case eventsDropped(Int)
    /// The channel stopped by itself; from here on it behaves as closed.
    case failed(ZeroMQError)
}

/// Why a handshake failed.
public enum HandshakeFailure: Equatable, Sendable {
    /// The connection broke or took too long; the errno says which.
    case connectionLost(errorNumber: Int32)
    /// The peer broke ZMTP.
    ///
    /// The code is one of `ZMQ_PROTOCOL_ERROR_*`; a wrong key shows as a cryptographic error.
    case protocolError(code: Int32)
    /// The authenticator refused the peer's key; the status is 300, 400 or 500 (RFC 27).
    case refused(status: Int32)

    /// Whether a dealer must open a new channel to try again.
    ///
    /// After a refusal or a breach of protocol, libzmq ends the session for good. If the connection breaks before
    /// libzmq has read the reason, the session goes on. So only a new socket is reliable (libzmq issues 2329 and 3519).
    public var isFinal: Bool {
        switch self {
        case .connectionLost: false
        case .protocolError, .refused: true
        }
    }

    /// Whether the peer's greeting could not be decrypted: the peer used another server key than ours.
    public var isCryptographic: Bool {
        self == .protocolError(code: ZMQ_PROTOCOL_ERROR_ZMTP_CRYPTOGRAPHIC)
    }
}

/// How a received message broke a limit.
public enum MalformedMessage: Equatable, Sendable {
    /// It had no frame besides the identity.
    case empty
    /// It had `count` frames.
    case tooManyFrames(count: Int, limit: Int)
    /// It had `byteCount` bytes.
    case tooLarge(byteCount: Int, limit: Int)
}
