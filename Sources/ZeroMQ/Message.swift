/// What is sent and received as a whole: one or more frames.
public struct Message: Sendable {
    /// The peer: set on what a router receives, needed on what it sends; nil on a dealer.
    public var routingIdentity: RoutingIdentity?

    /// The parts, without the identity frame.
    public var frames: [Frame]

    /// Who the sender proved to be: its CURVE public key in Z85, when the router has a ``CurveAuthenticator``.
    ///
    /// Set on reception only; sending ignores it.
    public internal(set) var authenticatedUser: String?

    /// Makes a message for a peer of a router, or, without one, for the peer of a dealer.
    public init(to routingIdentity: RoutingIdentity? = nil, _ frames: [Frame]) {
        self.routingIdentity = routingIdentity
        self.frames = frames
    }

    /// Ends the connection that a received message came by: for a peer that does not keep to the protocol.
    ///
    /// It may connect again. Nothing happens to a message that was not received, or came within this process.
    public func hangUp() {
        connection?.hangUp()
    }

    /// The connection that a received message came by, when it was known.
    var connection: PeerConnection?

    /// The sum of the frames' sizes.
    public var byteCount: Int {
        frames.reduce(0) { $0 + $1.byteCount }
    }
}

extension Message: Equatable {
    /// Whether two messages say the same to or from the same peer, by whatever connection.
    public static func == (left: Message, right: Message) -> Bool {
        left.routingIdentity == right.routingIdentity && left.frames == right.frames
            && left.authenticatedUser == right.authenticatedUser
    }
}
