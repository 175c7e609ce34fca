import Glibc
public import Identifiers
import Synchronization
public import SystemPackage

/// A directory of blobs, each named by the SHA-256 of its bytes; the same bytes are kept once.
///
/// The directory belongs to one process, which holds a lock on it. In it:
/// - `incoming/`: what is being written; removed when the store is opened.
/// - `pending/ab/abcd…`: whole blobs that a power failure may still damage. They are hashed again when the store is
///   opened, and removed if they are not what their name says.
/// - `durable/ab/abcd…`: blobs that survive a power failure.
///
/// The directories of two digits are made when a blob needs them: most stores live for one short job.
///
/// **Durability is in groups.** ``BlobWriter/finish(expecting:)`` does not call fsync: a blob alone is worthless to a
/// coordinator before the journal names it, and an fsync a blob would make the disk the bottleneck. The coordinator
/// calls ``makeDurable()`` once for all blobs of a journal transaction, BEFORE it commits the transaction; so a blob
/// that the journal names exists whole after any crash.
///
/// Safe to use from any thread. The internal lock is held for calls on single names, never while bytes are read,
/// written or made durable.
public final class BlobStore: Sendable {
    /// The store's directory.
    public let directory: FilePath
    private let layout: BlobStoreLayout
    private let lockFile: StoreFile
    private let contents: Mutex<Contents>

    private struct Contents {
        var byteCounts: [BlobDigest: Int] = [:]
        var pending: Set<BlobDigest> = []
        var byteCount = 0
        /// Directories made in `durable/`, and how many of them, the first, have durable names.
        var directoriesMade = 0
        var directoriesDurable = 0

        mutating func insert(_ digest: BlobDigest, byteCount: Int, isPending: Bool) {
            byteCounts[digest] = byteCount
            self.byteCount += byteCount
            if isPending { pending.insert(digest) }
        }

        mutating func remove(_ digest: BlobDigest) {
            byteCount -= byteCounts.removeValue(forKey: digest) ?? 0
            pending.remove(digest)
        }
    }

    /// Opens a store, makes its directories where they are missing, and removes what a crash left unfinished.
    ///
    /// - Throws: ``BlobStoreError/inUse(directory:)`` if another process has it open, or the failed call; blobs in the
    ///   store are kept.
    public init(opening directory: FilePath) throws(BlobStoreError) {
        let layout = BlobStoreLayout(directory: directory)
        try layout.createDirectories()
        let lockFile = try StoreFile(opening: directory.appending("lock"), flags: O_RDWR | O_CREAT)
        guard flock(lockFile.descriptor, LOCK_EX | LOCK_NB) == 0 else {
            if errno == EWOULDBLOCK { throw .inUse(directory: directory) }
            throw callFailed("flock", lockFile.path)
        }
        try layout.removeIncoming()
        var contents = Contents()
        for (digest, byteCount) in try layout.durableBlobs() {
            contents.insert(digest, byteCount: byteCount, isPending: false)
        }
        for (digest, byteCount) in try layout.verifiedPendingBlobs() where contents.byteCounts[digest] == nil {
            contents.insert(digest, byteCount: byteCount, isPending: true)
        }
        self.directory = directory
        self.layout = layout
        self.lockFile = lockFile
        self.contents = Mutex(contents)
    }

    // MARK: - Writing

    /// Begins a blob whose bytes arrive in parts; it is in the store after ``BlobWriter/finish(expecting:)``.
    ///
    /// - Throws: ``BlobStoreError``; nothing is left behind.
    public func beginWrite() throws(BlobStoreError) -> BlobWriter {
        try BlobWriter(store: self, path: layout.newIncoming())
    }

    /// Stores bytes that are in memory; bytes that the store holds are not written again.
    ///
    /// - Throws: ``BlobStoreError``; the store is unchanged.
    @discardableResult
    public func put(_ bytes: RawSpan) throws(BlobStoreError) -> BlobDigest {
        let digest = BlobDigest(hashing: bytes)
        if contains(digest) { return digest }
        let writer = try beginWrite()
        try writer.append(bytes)
        return try writer.finish(expecting: digest)
    }

    /// Gives a finished file its name, or removes it if the store has the blob.
    func adopt(_ incoming: FilePath, as digest: BlobDigest, byteCount: Int) throws(BlobStoreError) {
        try contents.withLock { (contents: inout Contents) throws(BlobStoreError) in
            if contents.byteCounts[digest] != nil {
                _ = try StoreDirectory.remove(incoming)
                return
            }
            // Not counted on: a power failure may take a pending blob with its directory.
            var made = 0
            try StoreDirectory.rename(
                incoming, to: layout.pending(digest), in: layout.fan(of: digest, below: layout.pendingRoot),
                countingMade: &made)
            contents.insert(digest, byteCount: byteCount, isPending: true)
        }
    }

    /// Makes every blob finished so far survive a power failure, with one fsync a blob and one a directory, and one
    /// more when directories were made.
    ///
    /// A blob that the disk refuses is removed, because a second fsync would report success for pages that are lost.
    ///
    /// - Throws: ``BlobStoreError``, the first failure; the other blobs are durable, or will be with the next call.
    public func makeDurable() throws(BlobStoreError) {
        let group = contents.withLock { $0.pending }
        var firstError: BlobStoreError?
        var moved: Set<FilePath> = []
        for digest in group {
            do throws(BlobStoreError) {
                guard let blob = try openBlob(digest) else { continue }
                try synchronizeOrRemove(blob.file, digest)
                if try promote(digest) { moved.insert(layout.fan(of: digest, below: layout.durableRoot)) }
            } catch {
                firstError = firstError ?? error
            }
        }
        for directory in moved {
            do throws(BlobStoreError) { try StoreDirectory.synchronize(directory) } catch {
                firstError = firstError ?? error
            }
        }
        do throws(BlobStoreError) { try synchronizeNewDirectories() } catch {
            firstError = firstError ?? error
        }
        if let firstError { throw firstError }
    }

    /// Also waits for those that another call made and has not made durable yet: a blob of this call may lie there.
    private func synchronizeNewDirectories() throws(BlobStoreError) {
        let (made, durable) = contents.withLock { ($0.directoriesMade, $0.directoriesDurable) }
        guard made > durable else { return }
        try StoreDirectory.synchronize(layout.durableRoot)
        contents.withLock { $0.directoriesDurable = max($0.directoriesDurable, made) }
    }

    private func synchronizeOrRemove(_ file: borrowing StoreFile, _ digest: BlobDigest) throws(BlobStoreError) {
        do throws(BlobStoreError) { try file.synchronize() } catch {
            _ = try? remove(digest)
            throw error
        }
    }

    private func promote(_ digest: BlobDigest) throws(BlobStoreError) -> Bool {
        try contents.withLock { (contents: inout Contents) throws(BlobStoreError) in
            guard contents.pending.contains(digest) else { return false }
            try StoreDirectory.rename(
                layout.pending(digest), to: layout.durable(digest),
                in: layout.fan(of: digest, below: layout.durableRoot), countingMade: &contents.directoriesMade)
            contents.pending.remove(digest)
            return true
        }
    }

    // MARK: - Reading

    /// Whether the store holds a blob.
    public func contains(_ digest: BlobDigest) -> Bool {
        contents.withLock { $0.byteCounts[digest] != nil }
    }

    /// The bytes of a blob, or nil if the store does not hold it.
    public func byteCount(of digest: BlobDigest) -> Int? {
        contents.withLock { $0.byteCounts[digest] }
    }

    /// Bytes of all blobs, without what is being written.
    public var bytesInUse: Int { contents.withLock { $0.byteCount } }

    /// All blobs in the store, in no order.
    public var digests: [BlobDigest] { contents.withLock { Array($0.byteCounts.keys) } }

    /// All blobs in the store with their sizes, in no order; no file is looked at.
    public var blobs: [(digest: BlobDigest, byteCount: Int)] {
        contents.withLock { contents in contents.byteCounts.map { (digest: $0.key, byteCount: $0.value) } }
    }

    /// Where a blob lies, for messages; nil if the store does not hold it.
    public func path(of digest: BlobDigest) -> FilePath? {
        contents.withLock { contents in
            guard contents.byteCounts[digest] != nil else { return nil }
            return contents.pending.contains(digest) ? layout.pending(digest) : layout.durable(digest)
        }
    }

    /// Bytes that are free on the store's file system for this process.
    ///
    /// - Throws: ``BlobStoreError/callFailed(path:call:code:)``.
    public func freeByteCount() throws(BlobStoreError) -> UInt64 {
        try StoreDirectory.freeByteCount(directory)
    }

    /// Fills `destination` with a blob's bytes from `offset` on.
    ///
    /// - Throws: ``BlobStoreError/missing(directory:digest:)``,
    ///   ``BlobStoreError/rangeOutside(digest:start:count:byteCount:)`` or the failed call; `destination` then holds a
    ///   prefix of the bytes.
    public func read(
        _ digest: BlobDigest,
        at offset: Int = 0,
        into destination: inout MutableRawSpan
    ) throws(BlobStoreError) {
        guard let blob = try openBlob(digest) else { throw .missing(directory: directory, digest: digest) }
        let (byteCount, count) = (blob.byteCount, destination.byteCount)
        guard offset >= 0, offset <= byteCount, count <= byteCount - offset else {
            throw .rangeOutside(digest: digest, start: offset, count: count, byteCount: byteCount)
        }
        let read = try blob.file.read(at: offset, into: &destination)
        guard read == count else { throw .truncated(path: blob.file.path, expected: byteCount, found: offset + read) }
    }

    /// Hashes a blob's bytes anew, as they are on the disk now.
    ///
    /// - Parameters:
    ///   - digest: The blob.
    ///   - goesOn: Asked after every block; false ends the hashing.
    /// - Returns: What the bytes are; `digest` itself unless they were damaged. Nil when `goesOn` ended it.
    /// - Throws: ``BlobStoreError/missing(directory:digest:)`` or the failed call.
    public func computedDigest(
        of digest: BlobDigest, while goesOn: () -> Bool = { true }
    ) throws(BlobStoreError) -> BlobDigest? {
        guard let blob = try openBlob(digest) else { throw .missing(directory: directory, digest: digest) }
        return try blob.file.digest(while: goesOn)
    }

    private struct OpenBlob: ~Copyable {
        let file: StoreFile
        let byteCount: Int
    }

    /// Opens under the lock, so that the name cannot move between the look and the open.
    private func openBlob(_ digest: BlobDigest) throws(BlobStoreError) -> OpenBlob? {
        try contents.withLock { (contents: inout Contents) throws(BlobStoreError) -> OpenBlob? in
            guard let byteCount = contents.byteCounts[digest] else { return nil }
            let path = contents.pending.contains(digest) ? layout.pending(digest) : layout.durable(digest)
            return OpenBlob(file: try StoreFile(opening: path, flags: O_RDONLY), byteCount: byteCount)
        }
    }

    // MARK: - Removing

    /// Removes a blob; false if the store does not hold it.
    ///
    /// Reads that have begun go on.
    ///
    /// - Throws: ``BlobStoreError/callFailed(path:call:code:)``; the blob is then kept.
    @discardableResult
    public func remove(_ digest: BlobDigest) throws(BlobStoreError) -> Bool {
        try contents.withLock { (contents: inout Contents) throws(BlobStoreError) in
            guard contents.byteCounts[digest] != nil else { return false }
            let isPending = contents.pending.contains(digest)
            _ = try StoreDirectory.remove(isPending ? layout.pending(digest) : layout.durable(digest))
            contents.remove(digest)
            return true
        }
    }

    /// Removes every blob that is not named; returns how many that were.
    ///
    /// - Throws: ``BlobStoreError/callFailed(path:call:code:)``; some blobs may be gone, none that is named.
    @discardableResult
    public func removeAll(except kept: Set<BlobDigest>) throws(BlobStoreError) -> Int {
        var count = 0
        for digest in digests where !kept.contains(digest) {
            if try remove(digest) { count += 1 }
        }
        return count
    }
}
