/// Peers whose connections were ended in the middle of a message.
///
/// Later bytes of these connections are dropped, because they follow a gap.
///
/// Bound: ``countMax`` peers; the oldest is forgotten for a new one.
struct EndedPeers {
    static let countMax = 4096

    /// The connections by peer name.
    ///
    /// A dealer's only peer has no name. The value is nil when the connection is not known.
    private var connections: [RoutingIdentity?: PeerConnection?] = [:]
    private var order = RingQueue<RoutingIdentity?>()

    /// Notes a peer whose connection was ended.
    mutating func insert(_ peer: RoutingIdentity?, _ connection: PeerConnection?) {
        if connections.updateValue(connection, forKey: peer) != nil { return }
        order.append(peer)
        if order.count > Self.countMax, let oldest = order.popFirst() { connections[oldest] = nil }
    }

    /// Whether bytes came by an ended connection; another connection under the same name does not count.
    func contains(_ peer: RoutingIdentity?, _ connection: PeerConnection?) -> Bool {
        guard !connections.isEmpty, let ended = connections[peer] else { return false }
        return ended == nil || connection == nil || ended == connection
    }
}
