import BlobStore
import Identifiers
import Synchronization
import SystemPackage

/// The blobs that a worker keeps: what it made, and what it fetched to work on; within a limit of bytes.
///
/// What is not in use gives way, least recently used first, before anything new is written: all of it can be had
/// again, from the coordinator or by computing it anew. What came and went is collected for the coordinator, which
/// plans with it (``takeChanges()``).
///
/// Safe to use from any thread. The internal lock is held while blobs are removed, never while bytes are read or
/// written.
///
/// Source: DESIGN section 5, "inputs and outputs are blobs named by their SHA-256".
final class BlobCache: Sendable {
    /// Where the blobs lie.
    let directory: FilePath
    /// What says how many bytes of blobs there may be.
    private let rule: CacheLimit
    /// An element whenever blobs came or went since the last ``takeChanges()``.
    let changes: AsyncStream<Void>

    private let store: BlobStore
    private let changeSink: AsyncStream<Void>.Continuation
    private let state: Mutex<State>

    private struct Entry {
        let byteCount: UInt64
        var pins = 0
        var lastUse: UInt64
    }

    private struct State {
        var entries: [BlobDigest: Entry] = [:]
        var heldBytes: UInt64 = 0
        var reservedBytes: UInt64 = 0
        /// Most bytes of blobs, those that are being written included.
        var limit: UInt64 = 0
        /// Counts uses: the order is what matters, not the time.
        var clock: UInt64 = 0
        var changed: Set<BlobDigest> = []

        var bytes: UInt64 { heldBytes + reservedBytes }
        var bytesInUse: UInt64 { entries.values.reduce(reservedBytes) { $0 + ($1.pins > 0 ? $1.byteCount : 0) } }

        mutating func use(_ digest: BlobDigest, pinning: Bool) {
            clock += 1
            entries[digest]?.lastUse = clock
            if pinning { entries[digest]?.pins += 1 }
        }

        mutating func forget(_ digest: BlobDigest) {
            guard let entry = entries.removeValue(forKey: digest) else { return }
            heldBytes -= entry.byteCount
            changed.insert(digest)
        }
    }

    /// Opens the cache; what lies there already is held again, as far as the limit goes.
    ///
    /// - Parameters:
    ///   - directory: Where; made if it is not there.
    ///   - rule: What says how many bytes of blobs there may be.
    /// - Throws: ``BlobCacheError/store(_:)``, for example when another worker uses the directory.
    init(opening directory: FilePath, limit rule: CacheLimit) throws(BlobCacheError) {
        do {
            store = try BlobStore(opening: directory)
        } catch {
            throw .store(error)
        }
        self.directory = directory
        self.rule = rule
        (changes, changeSink) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        var initial = State()
        for (digest, byteCount) in store.blobs {
            initial.entries[digest] = Entry(byteCount: UInt64(byteCount), lastUse: 0)
            initial.heldBytes += UInt64(byteCount)
        }
        state = Mutex(initial)
        state.withLock { state in
            renewLimit(&state)
            if state.heldBytes > state.limit { evict(state.heldBytes - state.limit, from: &state) }
        }
    }

    /// Most bytes of blobs, those that are being written included.
    var limit: UInt64 { state.withLock(\.limit) }

    /// The blobs that were lost on the disk, for the log.
    var losses: AsyncStream<BlobLoss> { store.losses }

    /// Asks the disk again how much may be kept; never less than before, since a disk that fills up makes blobs give
    /// way one by one.
    private func renewLimit(_ state: inout State) {
        guard let bytes = try? store.fileSystemByteCounts() else { return }
        state.limit = max(
            state.limit, rule.byteCount(total: bytes.total, free: bytes.free, held: state.heldBytes))
    }

    // MARK: - What is there

    /// All blobs, in no order.
    var held: [BlobReference] {
        state.withLock { state in
            state.entries.map { BlobReference(digest: $0.key, byteCount: $0.value.byteCount) }
        }
    }

    /// Bytes of all blobs, without what is being written.
    var heldBytes: UInt64 { state.withLock { $0.heldBytes } }

    /// Keeps a blob until ``unpin(_:)``; false when it is not there.
    ///
    /// One of another size cannot be what its name says, and is discarded.
    func pin(_ blob: BlobReference) -> Bool {
        if let found = state.withLock({ $0.entries[blob.digest]?.byteCount }), found != blob.byteCount {
            discard([blob.digest])
        }
        return state.withLock { state in
            guard state.entries[blob.digest]?.byteCount == blob.byteCount else { return false }
            state.use(blob.digest, pinning: true)
            return true
        }
    }

    /// Keeps a blob whose size is not known until ``unpin(_:)``; nil when it is not there.
    func pin(_ digest: BlobDigest) -> BlobReference? {
        state.withLock { state in
            guard let entry = state.entries[digest] else { return nil }
            state.use(digest, pinning: true)
            return BlobReference(digest: digest, byteCount: entry.byteCount)
        }
    }

    /// Ends what ``pin(_:)-(BlobReference)`` began; a blob that was discarded meanwhile is passed over.
    func unpin(_ digest: BlobDigest) {
        state.withLock { state in
            if let pins = state.entries[digest]?.pins, pins > 0 { state.entries[digest]?.pins = pins - 1 }
        }
    }

    /// Counts as a use of a blob: somebody will want it soon.
    func touch(_ digest: BlobDigest) {
        state.withLock { $0.use(digest, pinning: false) }
    }

    /// Where a blob lies, for messages.
    func path(of digest: BlobDigest) -> FilePath { store.path(of: digest) ?? directory }

    // MARK: - Reading

    /// Fills `destination` with a blob's bytes from `offset` on.
    ///
    /// - Throws: ``BlobCacheError/lost(_:)`` when the blob is gone, which ``takeChanges()`` then tells.
    func read(
        _ digest: BlobDigest, at offset: Int, into destination: inout MutableRawSpan
    ) throws(BlobCacheError) {
        do {
            try store.read(digest, at: offset, into: &destination)
        } catch {
            throw noteLoss(of: digest, error)
        }
    }

    /// A blob to be read in one pass that proves it.
    ///
    /// - Throws: ``BlobCacheError/lost(_:)`` when the blob is gone.
    func blob(_ blob: BlobReference) throws(BlobCacheError) -> VerifiedBlob {
        do {
            return try store.blob(blob.digest, byteCount: Int(clamping: blob.byteCount))
        } catch {
            throw noteLoss(of: blob.digest, error)
        }
    }

    /// What a failure to read a blob means: one that is lost goes, which ``takeChanges()`` then tells.
    func noteLoss(of digest: BlobDigest, _ error: BlobStoreError) -> BlobCacheError {
        guard error.lostBlob != nil else { return .store(error) }
        discard([digest])
        return .lost(error)
    }

    // MARK: - Writing

    /// Begins a blob; room for it is made at once.
    ///
    /// - Parameter byteCount: The blob's size.
    /// - Returns: A writer for one task at a time; what it finishes is pinned once.
    /// - Throws: ``BlobCacheError/noSpace(directory:needed:limit:inUse:free:)`` or ``BlobCacheError/store(_:)``.
    func beginWrite(byteCount: UInt64) throws(BlobCacheError) -> CacheWriter {
        try reserve(byteCount)
        do {
            return CacheWriter(cache: self, writer: try openWriter(byteCount), reserved: byteCount)
        } catch {
            release(byteCount)
            throw error
        }
    }

    private func openWriter(_ byteCount: UInt64) throws(BlobCacheError) -> BlobWriter {
        do {
            return try store.beginWrite()
        } catch .diskFull {
            try relieve(byteCount)
        } catch {
            throw .store(error)
        }
        do { return try store.beginWrite() } catch { throw failure(error, needed: byteCount) }
    }

    /// Sets bytes aside, and evicts what they displace.
    func reserve(_ byteCount: UInt64) throws(BlobCacheError) {
        try state.withLock { (state: inout State) throws(BlobCacheError) in
            if state.bytes.addingReportingOverflow(byteCount).partialValue > state.limit { renewLimit(&state) }
            guard byteCount <= state.limit else { throw noSpace(byteCount, state) }
            let most = state.limit - byteCount
            if state.bytes > most {
                // Nothing is evicted in vain.
                guard state.bytesInUse <= most else { throw noSpace(byteCount, state) }
                evict(state.bytes - most, from: &state)
                guard state.bytes <= most else { throw noSpace(byteCount, state) }
            }
            state.reservedBytes += byteCount
        }
    }

    /// Gives back bytes that were set aside.
    func release(_ byteCount: UInt64) {
        state.withLock { $0.reservedBytes -= byteCount }
    }

    /// Evicts what it can, up to some bytes, because the disk itself is full.
    ///
    /// - Throws: ``BlobCacheError/noSpace(directory:needed:limit:inUse:free:)`` when nothing can go.
    func relieve(_ byteCount: UInt64) throws(BlobCacheError) {
        try state.withLock { (state: inout State) throws(BlobCacheError) in
            let before = state.heldBytes
            evict(byteCount, from: &state)
            guard state.heldBytes < before else { throw noSpace(byteCount, state) }
        }
    }

    /// Takes in what a writer has finished, pinned once; its reservation ends.
    func admit(_ blob: BlobReference, reserved: UInt64) {
        state.withLock { state in
            state.reservedBytes -= reserved
            if state.entries[blob.digest] == nil {
                state.entries[blob.digest] = Entry(byteCount: blob.byteCount, lastUse: 0)
                state.heldBytes += blob.byteCount
            }
            state.use(blob.digest, pinning: true)
            state.changed.insert(blob.digest)
        }
        changeSink.yield()
    }

    /// What a failure of the store means for who wanted to write.
    func failure(_ error: BlobStoreError, needed: UInt64) -> BlobCacheError {
        guard case .diskFull = error else { return .store(error) }
        return state.withLock { noSpace(needed, $0) }
    }

    private func noSpace(_ needed: UInt64, _ state: State) -> BlobCacheError {
        .noSpace(
            directory: directory, needed: needed, limit: state.limit, inUse: state.bytesInUse,
            free: (try? store.freeByteCount()) ?? 0)
    }

    // MARK: - Removing

    /// Removes blobs that are not in use, least recently used first, until so many bytes are gone or nothing is left.
    private func evict(_ byteCount: UInt64, from state: inout State) {
        let candidates = state.entries.filter { $0.value.pins == 0 }.sorted { $0.value.lastUse < $1.value.lastUse }
        var evicted: UInt64 = 0
        for (digest, entry) in candidates where evicted < byteCount {
            guard (try? store.remove(digest)) != nil else { continue }
            state.forget(digest)
            evicted += entry.byteCount
        }
        if evicted > 0 { changeSink.yield() }
    }

    /// Removes blobs that are not what their names say, even if a unit uses them.
    func discard(_ digests: [BlobDigest]) {
        state.withLock { state in
            for digest in digests where (try? store.remove(digest)) != nil { state.forget(digest) }
        }
        changeSink.yield()
    }

    /// The blobs that came and those that went since the last call.
    ///
    /// One that went and came again has only come.
    func takeChanges() -> (held: [BlobReference], dropped: [BlobDigest]) {
        state.withLock { state in
            var (held, dropped): ([BlobReference], [BlobDigest]) = ([], [])
            for digest in state.changed {
                if let entry = state.entries[digest] {
                    held.append(BlobReference(digest: digest, byteCount: entry.byteCount))
                } else {
                    dropped.append(digest)
                }
            }
            state.changed = []
            return (held, dropped)
        }
    }

    // MARK: - Durability

    /// Makes all blobs survive a power failure; what the disk refuses is lost.
    ///
    /// - Throws: ``BlobCacheError/store(_:)``.
    func makeDurable() throws(BlobCacheError) {
        defer { forgetLost() }
        do { try store.makeDurable() } catch { throw .store(error) }
    }

    /// Forgets what the store has lost.
    private func forgetLost() {
        let hasForgotten = state.withLock { state in
            let lost = state.entries.keys.filter { !store.contains($0) }
            for digest in lost { state.forget(digest) }
            return !lost.isEmpty
        }
        if hasForgotten { changeSink.yield() }
    }
}
