/// One or more frames that are sent and received as a whole.
public struct Message: Sendable {
    /// The peer.
    ///
    /// A router sets it on received messages and needs it on sent ones. It is nil on a dealer.
    public var routingIdentity: RoutingIdentity?

    /// The parts, without the identity frame.
    public var frames: [Frame]

    /// The CURVE public key, in Z85, that the sender proved to hold, when the router has a ``CurveAuthenticator``.
    ///
    /// Set on reception only. Sending ignores it.
    public internal(set) var authenticatedUser: String?

    /// Makes a message for a peer of a router; without an identity it is for the peer of a dealer.
    public init(to routingIdentity: RoutingIdentity? = nil, _ frames: [Frame]) {
        self.routingIdentity = routingIdentity
        self.frames = frames
    }

    /// Ends the connection by which the message came; meant for a peer that does not keep to the protocol.
    ///
    /// The peer may connect again. Nothing happens for a message that was not received, or that came from this process.
    public func hangUp() {
        connection?.hangUp()
    }

    /// The connection by which the message came, if it is known.
    var connection: PeerConnection?

    /// The sum of the frames' sizes.
    public var byteCount: Int {
        frames.reduce(0) { $0 + $1.byteCount }
    }
}

extension Message: Equatable {
    /// Whether two messages have the same peer and the same frames; the connection does not count.
    public static func == (left: Message, right: Message) -> Bool {
        left.routingIdentity == right.routingIdentity && left.frames == right.frames
            && left.authenticatedUser == right.authenticatedUser
    }
}
