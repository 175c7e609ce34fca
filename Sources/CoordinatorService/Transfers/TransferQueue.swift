import Synchronization
import WireProtocol
import ZeroMQ

/// The queue from workers' messages to the ``TransferService``, which may be busy with a slow disk.
///
/// Bounds: ``requestsPerPeer`` requests and ``bytesPerPeer`` bytes of chunks of each peer, which is more than its
/// transfers and their credit allow. Above ``bytesMax`` of all peers, only peers with fewer than ``bytesAlways`` may
/// add more.
final class TransferQueue: Sendable {
    /// A request on its way.
    struct Entry: Sendable {
        let request: TransferService.Request
        let peer: RoutingIdentity
        /// Whether it counts as the peer's.
        fileprivate let isPeers: Bool
    }

    private struct Share {
        var requests = 0
        var bytes = 0
    }

    /// The result of adding a chunk.
    enum ChunkOutcome: Equatable {
        /// The chunk waits; `isSign` says whether it counts as a sign of life, as a few chunks each second do.
        case added(isSign: Bool)
        /// The peer sends more than its credit allows.
        case full
        /// The peer has not greeted, or its worker was given up.
        case stranger
    }

    private struct State {
        /// The peers whose workers have greeted, with the time when a chunk last counted as a sign of life.
        var open: [RoutingIdentity: ContinuousClock.Instant] = [:]
        var shares: [RoutingIdentity: Share] = [:]
        var bytes = 0
    }

    /// Each of a peer's transfers has one request, and credit for the chunks on their way.
    static let requestsPerPeer = 2 * TransferService.transfersPerPeer * Int(WireLimits.chunkCredit)
    static let bytesPerPeer = 64 << 20
    static let bytesMax = 2 * UploadCredit<RoutingIdentity>.chunksMax * WireLimits.chunkBytes
    static let bytesAlways = Int(WireLimits.chunkCredit) * WireLimits.chunkBytes

    /// The queue, in the order of arrival.
    let entries: AsyncStream<Entry>
    private let sink: AsyncStream<Entry>.Continuation
    private let state = Mutex(State())

    init() {
        (entries, sink) = AsyncStream.makeStream(of: Entry.self)
    }

    /// Adds a peer's message at the end.
    ///
    /// - Returns: Whether there was room.
    func add(_ request: TransferService.Request, from peer: RoutingIdentity) -> Bool {
        let byteCount = request.byteCount
        let hasRoom = state.withLock { state in
            var share = state.shares[peer] ?? Share()
            share.requests += 1
            share.bytes += byteCount
            let isCrowded = state.bytes + byteCount > Self.bytesMax
            guard share.requests <= Self.requestsPerPeer,
                share.bytes <= (isCrowded ? Self.bytesAlways : Self.bytesPerPeer)
            else { return false }
            state.shares[peer] = share
            state.bytes += byteCount
            return true
        }
        guard hasRoom else { return false }
        sink.yield(Entry(request: request, peer: peer, isPeers: true))
        return true
    }

    /// Adds a chunk of a worker's upload at the end, after the offer of its blob.
    ///
    /// Chunks do not pass through the coordinator's actor, because there are too many of them.
    func addChunk(
        _ chunk: TransferService.Request, from peer: RoutingIdentity, at now: ContinuousClock.Instant
    ) -> ChunkOutcome {
        let isSign = state.withLock { state -> Bool? in
            guard let last = state.open[peer] else { return nil }
            guard now - last >= WorkerConversation.signInterval else { return false }
            state.open[peer] = now
            return true
        }
        guard let isSign else { return .stranger }
        return add(chunk, from: peer) ? .added(isSign: isSign) : .full
    }

    /// Accepts chunks of a peer, whose worker has greeted.
    func open(_ peer: RoutingIdentity) {
        state.withLock { $0.open[peer] = .now }
    }

    /// Ends the transfers of a peer that is gone or was refused.
    func close(_ peer: RoutingIdentity) {
        state.withLock { $0.open[peer] = nil }
        tell(.peerGone, about: peer)
    }

    /// Adds the coordinator's own decision about a peer's transfers at the end.
    ///
    /// Bound: the requests wait elsewhere, and their number is bounded there.
    func tell(_ request: TransferService.Request, about peer: RoutingIdentity) {
        sink.yield(Entry(request: request, peer: peer, isPeers: false))
    }

    /// Notes that an entry is done.
    func end(_ entry: Entry) {
        guard entry.isPeers else { return }
        state.withLock { state in
            guard var share = state.shares[entry.peer] else { return }
            share.requests -= 1
            share.bytes -= entry.request.byteCount
            state.bytes -= entry.request.byteCount
            state.shares[entry.peer] = share.requests > 0 ? share : nil
        }
    }

    /// Accepts no more entries.
    func finish() {
        sink.finish()
    }
}

extension TransferService.Request {
    /// Bytes that the request holds.
    fileprivate var byteCount: Int {
        if case .chunk(_, _, let payload) = self { payload.byteCount } else { 0 }
    }
}
