import Synchronization
import ZeroMQ

/// The queue from peers to a desk, which may be busy with a slow disk.
///
/// Messages with bytes do not pass through the coordinator's actor, because there are too many of them.
///
/// Bounds: an open peer has ``requestsPerPeer`` requests, which is more than its credit allows. Other peers have one,
/// without bytes, and all of them ``strangersMax``.
final class PeerQueue<Request: Sendable>: Sendable {
    /// A request on its way.
    struct Entry: Sendable {
        let request: Request
        let number: UInt64
        let peer: RoutingIdentity
        /// Whether it counts as the peer's.
        fileprivate let isPeers: Bool
    }

    private struct State {
        var open: Set<RoutingIdentity> = []
        var counts: [RoutingIdentity: Int] = [:]
    }

    private let requestsPerPeer: Int
    private let strangersMax = 256

    /// The queue, in the order of arrival.
    let entries: AsyncStream<Entry>
    private let sink: AsyncStream<Entry>.Continuation
    private let state = Mutex(State())

    /// - Parameter requestsPerPeer: The most requests of an open peer.
    init(requestsPerPeer: Int) {
        self.requestsPerPeer = requestsPerPeer
        (entries, sink) = AsyncStream.makeStream(of: Entry.self)
    }

    /// Adds a peer's request at the end.
    ///
    /// - Parameters:
    ///   - request: The request.
    ///   - number: Its number.
    ///   - peer: The peer.
    ///   - needsOpening: Whether only open peers may ask this.
    /// - Returns: Whether it was added.
    func add(
        _ request: Request, number: UInt64 = 0, from peer: RoutingIdentity, needsOpening: Bool
    ) -> PeerQueueOutcome {
        let outcome = state.withLock { state -> PeerQueueOutcome in
            let isOpen = state.open.contains(peer)
            if needsOpening, !isOpen { return .stranger }
            let count = state.counts[peer] ?? 0
            guard count < requestsPerPeer else { return .full }
            if !isOpen, state.counts.count >= strangersMax { return .crowded }
            state.counts[peer] = count + 1
            return .added
        }
        if outcome == .added { sink.yield(Entry(request: request, number: number, peer: peer, isPeers: true)) }
        return outcome
    }

    /// Adds the desk's own request at the end.
    ///
    /// Bound: the open peers, and the connections that end.
    func tell(_ request: Request, number: UInt64 = 0, about peer: RoutingIdentity) {
        sink.yield(Entry(request: request, number: number, peer: peer, isPeers: false))
    }

    /// Notes that an entry is done.
    func end(_ entry: Entry) {
        guard entry.isPeers else { return }
        state.withLock { state in
            let count = (state.counts[entry.peer] ?? 1) - 1
            state.counts[entry.peer] = count > 0 ? count : nil
        }
    }

    /// Accepts messages with bytes of a peer.
    func open(_ peer: RoutingIdentity) {
        state.withLock { _ = $0.open.insert(peer) }
    }

    /// Accepts no more messages with bytes of a peer.
    func close(_ peer: RoutingIdentity) {
        state.withLock { _ = $0.open.remove(peer) }
    }

    /// Accepts no more entries.
    func finish() {
        sink.finish()
    }
}

/// The result of adding a request to a ``PeerQueue``.
enum PeerQueueOutcome: Equatable {
    case added
    /// The peer sends more than its credit allows.
    case full
    /// The peer is not open, and the request is only for such.
    case stranger
    /// Too many requests of peers that are not open wait.
    case crowded
}
