/// Chunks that peers may send without being asked again, bounded over all of them.
///
/// Each upload's own credit bounds a peer; many peers that send at once to a slow disk would still fill the memory.
/// What goes beyond the bound waits its turn. A peer with nothing under way gets one chunk at once all the same: so
/// nobody can hold the credit of others for ever. The bound is ``chunksMax`` and one chunk for each peer.
struct UploadCredit<Peer: Hashable> {
    /// One upload.
    struct Key: Hashable {
        let peer: Peer
        let transfer: UInt64
    }

    /// Chunks under way from all peers, in ``WireLimits/chunkBytes``: 256 MiB.
    static var chunksMax: Int { 256 }

    private let chunksMax: Int
    private var granted: [Key: Int] = [:]
    private var byPeer: [Peer: Int] = [:]
    private var sum = 0
    private var waiting: [(key: Key, chunks: Int)] = []

    init(chunksMax: Int = Self.chunksMax) {
        self.chunksMax = chunksMax
    }

    /// Chunks that are under way.
    var chunksUnderWay: Int { sum }

    /// Asks for credit.
    ///
    /// - Returns: Chunks that may be sent at once; the rest follows from ``next()``.
    mutating func ask(for chunks: Int, of key: Key) -> Int {
        let room = waiting.isEmpty ? max(0, chunksMax - sum) : 0
        let atOnce = min(chunks, max(room, byPeer[key.peer] == nil ? 1 : 0))
        grant(atOnce, to: key)
        if atOnce < chunks { waiting.append((key, chunks - atOnce)) }
        return atOnce
    }

    /// A chunk came.
    ///
    /// - Returns: Whether it was granted; one that was not changes nothing.
    @discardableResult
    mutating func receive(from key: Key) -> Bool {
        guard granted[key] != nil else { return false }
        giveBack(1, of: key)
        return true
    }

    /// Whether a peer may send a chunk.
    func isGranted(_ key: Key) -> Bool { granted[key] != nil }

    /// An upload is over, whatever of its credit was used.
    mutating func end(_ key: Key) {
        waiting.removeAll { $0.key == key }
        giveBack(granted[key] ?? 0, of: key)
    }

    /// The next to get credit, and how many chunks; `nil` when nobody waits or there is no room.
    mutating func next() -> (key: Key, chunks: Int)? {
        let room = chunksMax - sum
        let index = room > 0 ? waiting.indices.first : waiting.firstIndex { byPeer[$0.key.peer] == nil }
        guard let index else { return nil }
        let (key, wanted) = waiting[index]
        let chunks = min(wanted, max(room, 1))
        if chunks < wanted { waiting[index].chunks = wanted - chunks } else { waiting.remove(at: index) }
        grant(chunks, to: key)
        return (key, chunks)
    }

    private mutating func grant(_ chunks: Int, to key: Key) {
        guard chunks > 0 else { return }
        granted[key, default: 0] += chunks
        byPeer[key.peer, default: 0] += chunks
        sum += chunks
    }

    private mutating func giveBack(_ chunks: Int, of key: Key) {
        guard chunks > 0, let held = granted[key], let ofPeer = byPeer[key.peer] else { return }
        granted[key] = held > chunks ? held - chunks : nil
        byPeer[key.peer] = ofPeer > chunks ? ofPeer - chunks : nil
        sum -= chunks
    }
}
