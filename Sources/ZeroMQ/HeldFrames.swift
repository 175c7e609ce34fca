internal import Synchronization

/// Bytes that libzmq still holds after the channel handed them over, for each peer of a router.
///
/// libzmq's own bound counts messages (`ZMQ_SNDHWM`), and a message may be large. libzmq releases a shared frame when
/// the kernel has it, or when its peer is gone. Until then the frame is counted here. Small frames are copied and not
/// counted: the high-water mark bounds them.
final class HeldFrames: Sendable {
    private struct State {
        var byPeer: [RoutingIdentity: Int] = [:]
        var sum = 0
    }

    private let state = Mutex(State())
    private let peerBytesMax: Int
    private let bytesMax: Int
    private let peerBytesAlways: Int

    init(limits: ChannelLimits) {
        peerBytesMax = limits.heldBytesPerPeer
        bytesMax = limits.heldBytes
        peerBytesAlways = limits.heldBytesAlways
    }

    /// Whether this many shared bytes may be handed over; a peer for which nothing is held may always have a message.
    func hasRoom(for byteCount: Int, of peer: RoutingIdentity) -> Bool {
        state.withLock { state in
            guard byteCount > 0, let held = state.byPeer[peer] else { return true }
            if byteCount <= peerBytesAlways - min(held, peerBytesAlways) { return true }
            return byteCount <= peerBytesMax - min(held, peerBytesMax)
                && byteCount <= bytesMax - min(state.sum, bytesMax)
        }
    }

    /// Bytes held for a peer, and for all.
    func counts(of peer: RoutingIdentity) -> (peer: Int, all: Int) {
        state.withLock { ($0.byPeer[peer] ?? 0, $0.sum) }
    }

    /// Bytes held for some of the peers.
    func byteCount(where isCounted: (RoutingIdentity) -> Bool) -> Int {
        state.withLock { state in state.byPeer.reduce(0) { $0 + (isCounted($1.key) ? $1.value : 0) } }
    }

    /// Bytes held for all peers.
    var byteCount: Int { state.withLock { $0.sum } }

    /// The same frame, counted for a peer until nobody holds it.
    func counting(_ frame: Frame, for peer: RoutingIdentity) -> Frame {
        state.withLock { state in
            state.byPeer[peer, default: 0] += frame.byteCount
            state.sum += frame.byteCount
        }
        let owner = CountedOwner(of: frame, for: peer, in: self)
        return unsafe Frame(owner: owner, unsafeBytes: frame.unsafeBytes)
    }

    fileprivate func release(_ byteCount: Int, of peer: RoutingIdentity) {
        state.withLock { state in
            state.sum -= byteCount
            guard let held = state.byPeer[peer] else { return }
            state.byPeer[peer] = held > byteCount ? held - byteCount : nil
        }
    }
}

/// Owns a frame's bytes for libzmq, and reports when libzmq is done.
private final class CountedOwner: Sendable {
    private let frame: Frame
    private let peer: RoutingIdentity
    private let held: HeldFrames

    init(of frame: Frame, for peer: RoutingIdentity, in held: HeldFrames) {
        self.frame = frame
        self.peer = peer
        self.held = held
    }

    deinit {
        held.release(frame.byteCount, of: peer)
    }
}
