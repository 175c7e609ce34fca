public import ZeroMQ

/// What a coordinator needs to know its peers, and to be known.
public struct CoordinatorKeys: Sendable {
    /// Its own pair.
    public let pair: CurveKeyPair
    /// Who may connect.
    public let authorized: AuthorizedKeys

    /// Collects a coordinator's keys.
    public init(pair: CurveKeyPair, authorized: AuthorizedKeys) {
        self.pair = pair
        self.authorized = authorized
    }
}

/// What a worker or client needs to know its coordinator, and to be known.
public struct PeerKeys: Equatable, Sendable {
    /// Its own pair.
    public let pair: CurveKeyPair
    /// The coordinator's public key: nobody else is talked to.
    public let serverKey: CurvePublicKey

    /// Collects a peer's keys.
    public init(pair: CurveKeyPair, serverKey: CurvePublicKey) {
        self.pair = pair
        self.serverKey = serverKey
    }
}
