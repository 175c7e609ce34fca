import Synchronization
import WireProtocol
import ZeroMQ

/// The queue from clients' pushes to the ``PushDesk``, which may be busy with a slow disk.
///
/// Chunks do not pass through the coordinator's actor, because there are too many of them.
///
/// Bounds: a client with an open push has ``requestsPerPeer`` requests, which is more than its credit allows. Other
/// clients have one, without bytes, and all of them ``offersMax``.
final class PushQueue: Sendable {
    /// A request on its way.
    struct Entry: Sendable {
        /// What is asked.
        enum Request: Sendable {
            case offer(PushOffer)
            case chunk(offset: UInt64, Frame)
            /// The desk's own next step of a push.
            case step
            /// The client is gone.
            case gone
        }

        let request: Request
        let number: UInt64
        let peer: RoutingIdentity
        /// Whether it counts as the client's.
        fileprivate let isPeers: Bool
    }

    /// The result of adding a request.
    enum Outcome: Equatable {
        case added
        /// The client sends more than its credit allows.
        case full
        /// The client has no open push.
        case stranger
        /// Too many offers wait.
        case crowded
    }

    private struct State {
        var open: Set<RoutingIdentity> = []
        var counts: [RoutingIdentity: Int] = [:]
    }

    static let requestsPerPeer = Int(WireLimits.chunkCredit) + 2
    static let offersMax = 256

    /// The queue, in the order of arrival.
    let entries: AsyncStream<Entry>
    private let sink: AsyncStream<Entry>.Continuation
    private let state = Mutex(State())

    init() {
        (entries, sink) = AsyncStream.makeStream(of: Entry.self)
    }

    /// Adds a client's request at the end.
    func add(_ request: Entry.Request, number: UInt64, from peer: RoutingIdentity) -> Outcome {
        let outcome = state.withLock { state -> Outcome in
            let isOpen = state.open.contains(peer)
            if case .chunk = request, !isOpen { return .stranger }
            let count = state.counts[peer] ?? 0
            guard count < Self.requestsPerPeer else { return .full }
            if !isOpen, state.counts.count >= Self.offersMax { return .crowded }
            state.counts[peer] = count + 1
            return .added
        }
        if outcome == .added { sink.yield(Entry(request: request, number: number, peer: peer, isPeers: true)) }
        return outcome
    }

    /// Adds the desk's own request at the end.
    ///
    /// Bound: the open pushes, and the connections that end.
    func tell(_ request: Entry.Request, number: UInt64 = 0, about peer: RoutingIdentity) {
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

    /// Accepts chunks of a client, whose push is open.
    func open(_ peer: RoutingIdentity) {
        state.withLock { _ = $0.open.insert(peer) }
    }

    /// Accepts no more chunks of a client.
    func close(_ peer: RoutingIdentity) {
        state.withLock { _ = $0.open.remove(peer) }
    }

    /// Accepts no more entries.
    func finish() {
        sink.finish()
    }
}
