import BlobStore
import FileAccess
import Identifiers
import Synchronization
import SystemPackage

/// The blobs that a worker keeps, within a limit of bytes: those that it made, and those that it fetched.
///
/// Unused blobs are evicted, least recently used first, before anything new is written. They can be fetched or computed
/// again. The changes are collected for the coordinator, which plans with them (``takeChanges()``).
///
/// Any thread may use the cache. The internal lock is held while blobs are removed, never while bytes are read or
/// written.
///
/// Source: DESIGN section 5, "inputs and outputs are blobs named by their SHA-256".
final class BlobCache: Sendable {
    /// The directory of the blobs.
    let directory: FilePath
    /// The rule for the limit.
    private let rule: CacheLimit
    /// Yields an element when blobs have been added or removed since the last ``takeChanges()``.
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
        /// The most bytes of blobs, including those that are being written.
        var limit: UInt64 = 0
        /// Counts uses; only their order matters.
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

    /// Opens the cache; blobs that are already there are kept, within the limit.
    ///
    /// - Parameters:
    ///   - directory: The directory; made if it does not exist.
    ///   - rule: The rule for the limit.
    ///   - isDurable: Whether the directory must survive a crash of the machine.
    /// - Throws: ``BlobCacheError/store(_:)``, for example when another worker uses the directory.
    init(opening directory: FilePath, limit rule: CacheLimit, isDurable: Bool = true) throws(BlobCacheError) {
        do {
            store = try BlobStore(opening: directory, isDurable: isDurable)
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

    /// The most bytes of blobs, including those that are being written.
    var limit: UInt64 { state.withLock(\.limit) }

    /// The blobs that were lost on the disk, for the log.
    var losses: AsyncStream<BlobLoss> { store.losses }

    /// Asks the disk again for the limit, and never lowers it.
    ///
    /// When a disk fills up, blobs are evicted one by one instead.
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

    /// The bytes of all blobs, without those that are being written.
    var heldBytes: UInt64 { state.withLock { $0.heldBytes } }

    /// Keeps a blob until ``unpin(_:)``; false when it is not there.
    ///
    /// A blob of another size cannot match its name, and is discarded.
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

    /// Ends what ``pin(_:)-(BlobReference)`` began; a blob that was discarded meanwhile is ignored.
    func unpin(_ digest: BlobDigest) {
        state.withLock { state in
            if let pins = state.entries[digest]?.pins, pins > 0 { state.entries[digest]?.pins = pins - 1 }
        }
    }

    /// Counts a use of a blob that will soon be needed.
    func touch(_ digest: BlobDigest) {
        state.withLock { $0.use(digest, pinning: false) }
    }

    /// The path of a blob, for messages.
    func path(of digest: BlobDigest) -> FilePath { store.path(of: digest) ?? directory }

    // MARK: - Reading

    /// Fills `destination` with a blob's bytes from `offset` on.
    ///
    /// - Throws: ``BlobCacheError/lost(_:)`` when the blob is gone. ``takeChanges()`` then reports it.
    func read(
        _ digest: BlobDigest, at offset: Int, into destination: inout MutableRawSpan
    ) throws(BlobCacheError) {
        do {
            try store.read(digest, at: offset, into: &destination)
        } catch {
            throw noteLoss(of: digest, error)
        }
    }

    /// A blob to be read in one pass, which verifies it.
    ///
    /// - Throws: ``BlobCacheError/lost(_:)`` when the blob is gone.
    func blob(_ blob: BlobReference) throws(BlobCacheError) -> VerifiedBlob {
        do {
            return try store.blob(blob.digest, byteCount: Int(clamping: blob.byteCount))
        } catch {
            throw noteLoss(of: blob.digest, error)
        }
    }

    /// Makes a read failure into the cache's error; a lost blob is removed, and ``takeChanges()`` reports it.
    func noteLoss(of digest: BlobDigest, _ error: BlobStoreError) -> BlobCacheError {
        guard error.lostBlob != nil else { return .store(error) }
        discard([digest])
        return .lost(error)
    }

    // MARK: - Writing

    /// Begins a blob and makes room for it.
    ///
    /// - Parameter byteCount: The blob's size.
    /// - Returns: A writer for one task at a time. The blob that it finishes is pinned once.
    /// - Throws: ``BlobCacheError/noSpace(directory:needed:limit:inUse:free:)`` or
    ///   ``BlobCacheError/tooLarge(directory:needed:most:isShare:)``.
    func beginWrite(byteCount: UInt64) throws(BlobCacheError) -> CacheWriter {
        try reserve(byteCount)
        return CacheWriter(cache: self, writer: store.beginWrite(), reserved: byteCount)
    }

    /// Reserves bytes, and evicts blobs to make room.
    func reserve(_ byteCount: UInt64) throws(BlobCacheError) {
        try state.withLock { (state: inout State) throws(BlobCacheError) in
            if state.bytes.addingReportingOverflow(byteCount).partialValue > state.limit { renewLimit(&state) }
            guard byteCount <= state.limit else { throw tooLarge(byteCount) ?? noSpace(byteCount, state) }
            let most = state.limit - byteCount
            if state.bytes > most {
                // Nothing is evicted when that would not make enough room.
                guard state.bytesInUse <= most else { throw noSpace(byteCount, state) }
                evict(state.bytes - most, from: &state)
                guard state.bytes <= most else { throw noSpace(byteCount, state) }
            }
            state.reservedBytes += byteCount
        }
    }

    /// Releases reserved bytes.
    func release(_ byteCount: UInt64) {
        state.withLock { $0.reservedBytes -= byteCount }
    }

    /// Evicts unused blobs, up to a number of bytes, because the disk itself is full.
    ///
    /// - Throws: ``BlobCacheError/noSpace(directory:needed:limit:inUse:free:)`` when nothing can be evicted.
    func relieve(_ byteCount: UInt64) throws(BlobCacheError) {
        try state.withLock { (state: inout State) throws(BlobCacheError) in
            let before = state.heldBytes
            evict(byteCount, from: &state)
            guard state.heldBytes < before else { throw noSpace(byteCount, state) }
        }
    }

    /// Adds a finished blob, pinned once, and ends its reservation.
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

    /// Makes a failure of the store into the cache's error for a writer.
    func failure(_ error: BlobStoreError, needed: UInt64) -> BlobCacheError {
        guard case .file(.diskFull) = error else { return .store(error) }
        return state.withLock { noSpace(needed, $0) }
    }

    private func noSpace(_ needed: UInt64, _ state: State) -> BlobCacheError {
        .noSpace(
            directory: directory, needed: needed, limit: state.limit, inUse: state.bytesInUse,
            free: (try? store.freeByteCount()) ?? 0)
    }

    /// The error of bytes that would not fit into an empty cache on an empty disk; `nil` for fewer.
    private func tooLarge(_ needed: UInt64) -> BlobCacheError? {
        guard let total = try? store.fileSystemByteCounts().total else { return nil }
        let most = rule.most(total: total)
        guard needed > most else { return nil }
        return .tooLarge(directory: directory, needed: needed, most: most, isShare: rule == .share)
    }

    // MARK: - Removing

    /// Removes unused blobs, least recently used first, until enough bytes are free or none is left.
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

    /// Removes blobs whose bytes do not match their names, even if a unit uses them.
    func discard(_ digests: [BlobDigest]) {
        state.withLock { state in
            for digest in digests where (try? store.remove(digest)) != nil { state.forget(digest) }
        }
        changeSink.yield()
    }

    /// The blobs that were added and removed since the last call.
    ///
    /// A blob that was removed and added again counts as added only.
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

    /// Makes all blobs survive a power failure; blobs that the disk refuses are lost.
    ///
    /// - Throws: ``BlobCacheError/store(_:)``.
    func makeDurable() throws(BlobCacheError) {
        defer { forgetLost() }
        do { try store.makeDurable() } catch { throw .store(error) }
    }

    /// Forgets blobs that the store has lost.
    private func forgetLost() {
        let hasForgotten = state.withLock { state in
            let lost = state.entries.keys.filter { !store.contains($0) }
            for digest in lost { state.forget(digest) }
            return !lost.isEmpty
        }
        if hasForgotten { changeSink.yield() }
    }
}
