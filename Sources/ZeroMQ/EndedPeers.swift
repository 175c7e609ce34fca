/// Peers whose connections were ended in the middle of what they said: bytes that still come by these connections are
/// dropped, since they follow a gap.
///
/// Bound: ``countMax`` peers; the oldest is forgotten for a new one.
struct EndedPeers {
    static let countMax = 4096

    /// By name, of which a dealer's only peer has none; nil for a connection that is not known.
    private var connections: [RoutingIdentity?: PeerConnection?] = [:]
    private var order = RingQueue<RoutingIdentity?>()

    /// Notes a peer whose connection was ended.
    mutating func insert(_ peer: RoutingIdentity?, _ connection: PeerConnection?) {
        if connections.updateValue(connection, forKey: peer) != nil { return }
        order.append(peer)
        if order.count > Self.countMax, let oldest = order.popFirst() { connections[oldest] = nil }
    }

    /// Whether what came is of an ended connection; another one under the same name is not.
    func contains(_ peer: RoutingIdentity?, _ connection: PeerConnection?) -> Bool {
        guard !connections.isEmpty, let ended = connections[peer] else { return false }
        return ended == nil || connection == nil || ended == connection
    }
}
