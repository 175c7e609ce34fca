public import ZeroMQ

/// The keys of a coordinator: its own and those of its peers.
public struct CoordinatorKeys: Sendable {
    /// Its own pair.
    public let pair: CurveKeyPair
    /// The keys that may connect.
    public let authorized: AuthorizedKeys

    /// Collects a coordinator's keys.
    public init(pair: CurveKeyPair, authorized: AuthorizedKeys) {
        self.pair = pair
        self.authorized = authorized
    }
}

/// The keys of a worker or client: its own and its coordinator's.
public struct PeerKeys: Equatable, Sendable {
    /// Its own pair.
    public let pair: CurveKeyPair
    /// The coordinator's public key.
    ///
    /// A peer talks to no other coordinator.
    public let serverKey: CurvePublicKey

    /// Collects a peer's keys.
    public init(pair: CurveKeyPair, serverKey: CurvePublicKey) {
        self.pair = pair
        self.serverKey = serverKey
    }
}
