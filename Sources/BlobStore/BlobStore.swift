import FileAccess
import Glibc
public import Identifiers
import Synchronization
public import SystemPackage

/// A directory of blobs, each named by the SHA-256 of its bytes; equal bytes are stored once.
///
/// The directory belongs to one process, which holds a lock on it. It contains:
/// - `incoming/`: blobs that are being written; emptied when the store is opened.
/// - `pending/ab/abcd…`: whole blobs that a power failure may still damage. They are hashed when the store is opened,
///   and removed if they do not match their names.
/// - `durable/ab/abcd…`: blobs that survive a power failure.
/// - `format`: the version of this layout.
///
/// **The store does not trust the disk.** A blob that is found damaged, truncated, unreadable or missing is removed at
/// once and reported in ``losses``; it counts as never stored. Reads through ``blob(_:byteCount:)`` are hashed in the
/// same pass.
///
/// The directories of two digits are made when a blob needs them, because most stores live for one short job.
///
/// **Durability is in groups.** ``BlobWriter/finish(expecting:)`` does not call fsync. A blob alone is worthless to a
/// coordinator before the journal names it, and one fsync for each blob would make the disk the bottleneck. The
/// coordinator calls ``makeDurable()`` once for all blobs of a journal transaction, BEFORE it commits the transaction.
/// So a blob that the journal names is whole after any crash.
///
/// Safe to use from any thread. The internal lock is held for calls on single names, but never while bytes are read,
/// written or made durable.
public final class BlobStore: Sendable {
    /// The store's directory.
    public let directory: FilePath
    /// The lost blobs, including those found when the store was opened; one element each.
    ///
    /// Bound: the latest ``lossesMax`` that nobody has read.
    public let losses: AsyncStream<BlobLoss>
    private static let lossesMax = 4096

    private let lossSink: AsyncStream<BlobLoss>.Continuation
    private let layout: BlobStoreLayout
    private let lockFile: StoreFile
    private let contents: Mutex<Contents>

    private struct Contents {
        var byteCounts: [BlobDigest: Int] = [:]
        var pending: Set<BlobDigest> = []
        var byteCount = 0
        /// The number of directories made in `durable/`, and how many of the first ones have durable names.
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

    /// Opens a store, makes its missing directories, and removes what a crash left unfinished.
    ///
    /// Unreadable blobs are lost, but do not prevent opening.
    ///
    /// - Throws: ``BlobStoreError/inUse(directory:)`` if another process has it open,
    ///   ``BlobStoreError/format(directory:_:)`` if another version made it, or the failed call; the store keeps its
    ///   blobs.
    public init(opening directory: FilePath) throws(BlobStoreError) {
        let layout = BlobStoreLayout(directory: directory)
        try layout.createDirectories()
        let lockFile = try StoreFile(opening: directory.appending("lock"), flags: O_RDWR | O_CREAT)
        guard try lockFile.lockExclusively() else { throw .inUse(directory: directory) }
        try layout.claimFormat()
        try layout.removeIncoming()
        var contents = Contents()
        var lost: [BlobLoss] = []
        for (digest, byteCount) in try layout.durableBlobs(&lost) {
            contents.insert(digest, byteCount: byteCount, isPending: false)
        }
        for (digest, byteCount) in try layout.verifiedPendingBlobs(&lost) where contents.byteCounts[digest] == nil {
            contents.insert(digest, byteCount: byteCount, isPending: true)
        }
        let (losses, lossSink) = AsyncStream.makeStream(
            of: BlobLoss.self, bufferingPolicy: .bufferingNewest(Self.lossesMax))
        for loss in lost { lossSink.yield(loss) }
        (self.losses, self.lossSink) = (losses, lossSink)
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

    /// Stores bytes in memory; bytes that the store already holds are not written again.
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

    /// Gives a finished file its name, or removes it if the store already has the blob.
    func adopt(_ incoming: FilePath, as digest: BlobDigest, byteCount: Int) throws(BlobStoreError) {
        try contents.withLock { (contents: inout Contents) throws(BlobStoreError) in
            if contents.byteCounts[digest] != nil {
                _ = try StoreDirectory.remove(incoming)
                return
            }
            // The count is not needed: a power failure may take a pending blob and its directory.
            var made = 0
            let (destination, fan) = (layout.pending(digest), layout.fan(of: digest, below: layout.pendingRoot))
            do throws(BlobStoreError) {
                try StoreDirectory.rename(incoming, to: destination, in: fan, countingMade: &made)
            } catch {
                // Something else may have the file's name, or its directory's.
                if StoreDirectory.byteCount(ofFileAt: fan) != nil { StoreDirectory.discard(fan) }
                StoreDirectory.discard(destination)
                try StoreDirectory.rename(incoming, to: destination, in: fan, countingMade: &made)
            }
            contents.insert(digest, byteCount: byteCount, isPending: true)
        }
    }

    /// Makes every blob finished so far survive a power failure: one fsync for each blob and each directory, and one
    /// more when directories were made.
    ///
    /// A blob that the disk refuses is lost, because a second fsync would report success for lost pages. A missing blob
    /// is lost too. Neither is a failure, because a record that names a blob does not promise its bytes.
    ///
    /// - Throws: ``BlobStoreError``, the first failure; the other blobs are durable, or will be after the next call.
    public func makeDurable() throws(BlobStoreError) {
        let group = contents.withLock { $0.pending }
        var firstError: BlobStoreError?
        var moved: Set<FilePath> = []
        for digest in group {
            do throws(BlobStoreError) {
                guard let blob = try openBlob(digest) else { continue }
                try blob.file.synchronize()
                if try promote(digest) { moved.insert(layout.fan(of: digest, below: layout.durableRoot)) }
            } catch .lost {
                continue
            } catch {
                switch error {
                case .file(.callFailed(_, let call, let code)): _ = lose(digest, .unreadable(call: call, code: code))
                case .file(.diskFull(_, let call)):
                    _ = lose(digest, .unreadable(call: call, code: .noSpace))
                    firstError = firstError ?? error
                default: firstError = firstError ?? error
                }
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

    /// Also covers directories of other calls that are not durable yet, because a blob of this call may be in one.
    private func synchronizeNewDirectories() throws(BlobStoreError) {
        let (made, durable) = contents.withLock { ($0.directoriesMade, $0.directoriesDurable) }
        guard made > durable else { return }
        try StoreDirectory.synchronize(layout.durableRoot)
        contents.withLock { $0.directoriesDurable = max($0.directoriesDurable, made) }
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

    /// Bytes of all blobs, without those being written.
    public var bytesInUse: Int { contents.withLock { $0.byteCount } }

    /// All blobs in the store, in no order.
    public var digests: [BlobDigest] { contents.withLock { Array($0.byteCounts.keys) } }

    /// All blobs in the store with their sizes, in no order; reads no file.
    public var blobs: [(digest: BlobDigest, byteCount: Int)] {
        contents.withLock { contents in contents.byteCounts.map { (digest: $0.key, byteCount: $0.value) } }
    }

    /// The path of a blob, for messages; nil if the store does not hold it.
    public func path(of digest: BlobDigest) -> FilePath? {
        contents.withLock { contents in
            contents.byteCounts[digest] == nil ? nil : path(of: digest, contents)
        }
    }

    private func path(of digest: BlobDigest, _ contents: borrowing Contents) -> FilePath {
        contents.pending.contains(digest) ? layout.pending(digest) : layout.durable(digest)
    }

    /// The free bytes of the store's file system for this process.
    ///
    /// - Throws: ``BlobStoreError/callFailed(path:call:code:)``.
    public func freeByteCount() throws(BlobStoreError) -> UInt64 {
        try StoreDirectory.byteCounts(directory).free
    }

    /// The bytes of the store's file system: the total, and the free ones for this process.
    ///
    /// - Throws: ``BlobStoreError/callFailed(path:call:code:)``.
    public func fileSystemByteCounts() throws(BlobStoreError) -> (total: UInt64, free: UInt64) {
        try StoreDirectory.byteCounts(directory)
    }

    /// A blob for reading in one pass that verifies it.
    ///
    /// - Throws: ``BlobStoreError/missing(directory:digest:)``, or ``BlobStoreError/lost(_:)`` when the file does not
    ///   have the expected size.
    public func blob(_ digest: BlobDigest, byteCount: Int) throws(BlobStoreError) -> VerifiedBlob {
        guard let found = self.byteCount(of: digest) else { throw .missing(directory: directory, digest: digest) }
        if found != byteCount, try verify(digest) == true {
            throw .rangeOutside(digest: digest, start: 0, count: byteCount, byteCount: found)
        }
        return VerifiedBlob(digest, byteCount: byteCount, in: self)
    }

    /// Fills `destination` with a blob's bytes from `offset` on, unverified; ``blob(_:byteCount:)`` reads verified
    /// bytes.
    ///
    /// - Throws: ``BlobStoreError/missing(directory:digest:)``, ``BlobStoreError/lost(_:)``,
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
        let read: Int
        do throws(BlobStoreError) { read = try blob.file.read(at: offset, into: &destination) } catch {
            throw lossOrFailure(of: digest, error)
        }
        guard read == count else { throw lose(digest, .size(expected: byteCount, found: offset + read)) }
    }

    /// Hashes a blob's current bytes; a damaged blob is lost.
    ///
    /// - Parameters:
    ///   - digest: The blob.
    ///   - goesOn: Called between blocks; false stops the hashing.
    /// - Returns: True; nil when `goesOn` stopped it.
    /// - Throws: ``BlobStoreError/missing(directory:digest:)``, ``BlobStoreError/lost(_:)`` or the failed call.
    @discardableResult
    public func verify(
        _ digest: BlobDigest, while goesOn: () -> Bool = { true }
    ) throws(BlobStoreError) -> Bool? {
        guard let blob = try openBlob(digest) else { throw .missing(directory: directory, digest: digest) }
        let found: BlobDigest?
        do throws(BlobStoreError) { found = try blob.file.digest(while: goesOn) } catch {
            throw lossOrFailure(of: digest, error)
        }
        guard let found else { return nil }
        guard found == digest else { throw lose(digest, .otherBytes(found: found)) }
        return true
    }

    private struct OpenBlob: ~Copyable {
        let file: StoreFile
        let byteCount: Int
    }

    /// Opens under the lock, so that the file cannot be renamed between look-up and opening.
    private func openBlob(_ digest: BlobDigest) throws(BlobStoreError) -> OpenBlob? {
        do throws(BlobStoreError) {
            return try contents.withLock { (contents: inout Contents) throws(BlobStoreError) -> OpenBlob? in
                guard let byteCount = contents.byteCounts[digest] else { return nil }
                let file = try StoreFile(opening: path(of: digest, contents), flags: O_RDONLY)
                return OpenBlob(file: file, byteCount: byteCount)
            }
        } catch {
            throw lossOrFailure(of: digest, error)
        }
    }

    // MARK: - Losses

    /// The error after a failed read: the blob's loss, or the failure itself when the blob is not its cause.
    private func lossOrFailure(of digest: BlobDigest, _ error: BlobStoreError) -> BlobStoreError {
        guard case .file(.callFailed(_, let call, let code)) = error,
            let fault = BlobLoss.Fault(call: call, code: code)
        else { return error }
        return lose(digest, fault)
    }

    /// Removes a blob that does not match its name, reports the loss, and returns the error for the caller.
    func lose(_ digest: BlobDigest, _ fault: BlobLoss.Fault) -> BlobStoreError {
        let place = contents.withLock { (contents: inout Contents) -> FilePath? in
            guard contents.byteCounts[digest] != nil else { return nil }
            let file = path(of: digest, contents)
            StoreDirectory.discard(file)
            contents.remove(digest)
            return file
        }
        guard let place else { return .missing(directory: directory, digest: digest) }
        let loss = BlobLoss(digest, at: place, fault)
        lossSink.yield(loss)
        return .lost(loss)
    }

    // MARK: - Removing

    /// Removes a blob; false if the store does not hold it.
    ///
    /// Reads in progress continue.
    ///
    /// - Throws: ``BlobStoreError/callFailed(path:call:code:)``; the blob is then kept.
    @discardableResult
    public func remove(_ digest: BlobDigest) throws(BlobStoreError) -> Bool {
        try contents.withLock { (contents: inout Contents) throws(BlobStoreError) in
            guard contents.byteCounts[digest] != nil else { return false }
            let file = path(of: digest, contents)
            do throws(BlobStoreError) { _ = try StoreDirectory.remove(file) } catch {
                // Something other than our file has the name.
                StoreDirectory.discard(file)
                guard !Directories.exists(file) else { throw error }
            }
            contents.remove(digest)
            return true
        }
    }
}
