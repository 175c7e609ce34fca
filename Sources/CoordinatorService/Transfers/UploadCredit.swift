/// Chunks that peers may send without further credit, bounded over all peers.
///
/// Each upload's own credit bounds one peer, but many peers that send to a slow disk would still fill the memory. So
/// requests above the bound wait their turn. A peer with no chunk on its way gets one chunk at once anyway, so that
/// nobody can hold the credit of others forever. The bound is ``chunksMax`` plus one chunk for each peer.
struct UploadCredit<Peer: Hashable> {
    /// One upload.
    struct Key: Hashable {
        let peer: Peer
        let transfer: UInt64
    }

    /// The most chunks on their way from all peers, in units of ``WireLimits/chunkBytes``: 256 MiB.
    static var chunksMax: Int { 256 }

    private let chunksMax: Int
    private var granted: [Key: Int] = [:]
    private var byPeer: [Peer: Int] = [:]
    private var sum = 0
    private var waiting: [(key: Key, chunks: Int)] = []

    init(chunksMax: Int = Self.chunksMax) {
        self.chunksMax = chunksMax
    }

    /// Chunks that are on their way.
    var chunksUnderWay: Int { sum }

    /// Asks for credit.
    ///
    /// - Returns: Chunks that may be sent at once. The rest follows from ``next()``.
    mutating func ask(for chunks: Int, of key: Key) -> Int {
        let room = waiting.isEmpty ? max(0, chunksMax - sum) : 0
        let atOnce = min(chunks, max(room, byPeer[key.peer] == nil ? 1 : 0))
        grant(atOnce, to: key)
        if atOnce < chunks { waiting.append((key, chunks - atOnce)) }
        return atOnce
    }

    /// Records the arrival of a chunk.
    ///
    /// - Returns: Whether the chunk was granted. Otherwise nothing changes.
    @discardableResult
    mutating func receive(from key: Key) -> Bool {
        guard granted[key] != nil else { return false }
        giveBack(1, of: key)
        return true
    }

    /// Whether a peer may send a chunk.
    func isGranted(_ key: Key) -> Bool { granted[key] != nil }

    /// Ends an upload and its credit.
    mutating func end(_ key: Key) {
        waiting.removeAll { $0.key == key }
        giveBack(granted[key] ?? 0, of: key)
    }

    /// The next upload that gets credit, and its chunks; `nil` when none waits or there is no room.
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
