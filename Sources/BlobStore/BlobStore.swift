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
/// - `small/N`: segments, files of many blobs of at most 4 KiB each. They are hashed when the store is opened. A record
///   is whole after the death of the process, and survives a power failure after ``makeDurable()``. A removed blob may
///   be back after the next opening, if its segment was still needed.
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
/// Safe to use from any thread. The internal lock is held for calls on single names and for the one write of a small
/// blob's record, but never while bytes are read, other bytes are written, or anything is made durable.
public final class BlobStore: Sendable {
    /// The store's directory.
    public let directory: FilePath
    /// The lost blobs, including those found when the store was opened; one element each.
    ///
    /// Bound: the latest ``lossesMax`` that nobody has read.
    public let losses: AsyncStream<BlobLoss>
    private static let lossesMax = 4096
    /// The most bytes of a segment of small blobs; their room comes back in pieces of this size.
    public static let segmentByteCount = UInt64(BlobSegment.byteCountMax)

    let lossSink: AsyncStream<BlobLoss>.Continuation
    let layout: BlobStoreLayout
    private let lockFile: StoreFile
    let contents: Mutex<BlobIndex>

    /// Opens a store, makes its missing directories, and removes what a crash left unfinished.
    ///
    /// Unreadable blobs are lost, but do not prevent opening.
    ///
    /// - Throws: ``BlobStoreError/inUse(directory:)`` if another process has it open,
    ///   ``BlobStoreError/format(directory:_:)`` if another version made it, or the failed call; the store keeps its
    ///   blobs.
    public init(opening directory: FilePath, isDurable: Bool = true) throws(BlobStoreError) {
        let layout = BlobStoreLayout(directory: directory)
        try layout.createDirectories(isDurable: isDurable)
        let lockFile = try StoreFile(opening: directory.appending("lock"), flags: O_RDWR | O_CREAT)
        guard try lockFile.lockExclusively() else { throw .inUse(directory: directory) }
        try layout.claimFormat()
        try layout.removeIncoming()
        var contents = BlobIndex(layout)
        var lost: [BlobLoss] = []
        for (digest, byteCount) in try layout.durableBlobs(&lost) {
            contents.insert(digest, byteCount: byteCount, at: .durable)
        }
        for (digest, byteCount) in try layout.verifiedPendingBlobs(&lost) where contents.blobs[digest] == nil {
            contents.insert(digest, byteCount: byteCount, at: .pending)
        }
        try contents.restoreSegments(&lost)
        let (losses, lossSink) = AsyncStream.makeStream(
            of: BlobLoss.self, bufferingPolicy: .bufferingNewest(Self.lossesMax))
        for loss in lost { lossSink.yield(loss) }
        (self.losses, self.lossSink) = (losses, lossSink)
        self.directory = directory
        self.layout = layout
        self.lockFile = lockFile
        self.contents = Mutex(contents)
        compact()
    }

    // MARK: - Writing

    /// Begins a blob whose bytes arrive in parts; it is in the store after ``BlobWriter/finish(expecting:)``.
    public func beginWrite() -> BlobWriter { BlobWriter(store: self) }

    /// A new file for a blob that is not small.
    func newIncomingFile() throws(BlobStoreError) -> IncomingFile { try IncomingFile(creating: layout.newIncoming()) }

    /// Stores bytes in memory; bytes that the store already holds are not written again.
    ///
    /// - Throws: ``BlobStoreError``; the store is unchanged.
    @discardableResult
    public func put(_ bytes: RawSpan) throws(BlobStoreError) -> BlobDigest {
        let digest = BlobDigest(hashing: bytes)
        if contains(digest) { return digest }
        let writer = beginWrite()
        try writer.append(bytes)
        return try writer.finish(expecting: digest)
    }

    /// Gives a finished file its name, or removes it if the store already has the blob.
    func adopt(_ incoming: IncomingFile, as digest: BlobDigest, byteCount: Int) throws(BlobStoreError) {
        let path = incoming.path
        try contents.withLock { (contents: inout BlobIndex) throws(BlobStoreError) in
            if contents.blobs[digest] != nil {
                _ = try StoreDirectory.remove(path)
                return
            }
            // The count is not needed: a power failure may take a pending blob and its directory.
            var made = 0
            let (destination, fan) = (layout.pending(digest), layout.fan(of: digest, below: layout.pendingRoot))
            do throws(BlobStoreError) {
                try StoreDirectory.rename(path, to: destination, in: fan, countingMade: &made)
            } catch {
                // Something else may have the file's name, or its directory's.
                if StoreDirectory.byteCount(ofFileAt: fan) != nil { StoreDirectory.discard(fan) }
                StoreDirectory.discard(destination)
                try StoreDirectory.rename(path, to: destination, in: fan, countingMade: &made)
            }
            contents.insert(digest, byteCount: byteCount, at: .pending)
        }
        incoming.take()
    }

    /// Writes a small blob's record, unless the store already has the blob.
    func adopt(_ record: RecordBuffer, as digest: BlobDigest) throws(BlobStoreError) {
        try contents.withLock { (contents: inout BlobIndex) throws(BlobStoreError) in
            guard contents.blobs[digest] == nil else { return }
            try contents.append(record, as: digest)
        }
    }

    // MARK: - Reading

    /// Whether the store holds a blob.
    public func contains(_ digest: BlobDigest) -> Bool {
        contents.withLock { $0.blobs[digest] != nil }
    }

    /// The bytes of a blob, or nil if the store does not hold it.
    public func byteCount(of digest: BlobDigest) -> Int? {
        contents.withLock { $0.blobs[digest]?.byteCount }
    }

    /// Bytes of all blobs, without those being written.
    public var bytesInUse: Int { contents.withLock { $0.byteCount } }

    /// All blobs in the store, in no order.
    public var digests: [BlobDigest] { contents.withLock { Array($0.blobs.keys) } }

    /// All blobs in the store with their sizes, in no order; reads no file.
    public var blobs: [(digest: BlobDigest, byteCount: Int)] {
        contents.withLock { contents in contents.blobs.map { (digest: $0.key, byteCount: $0.value.byteCount) } }
    }

    /// The path of the file with a blob's bytes, for messages; nil if the store does not hold it.
    public func path(of digest: BlobDigest) -> FilePath? {
        contents.withLock { contents in
            contents.blobs[digest].map { contents.path(of: digest, at: $0.place) }
        }
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
        do throws(BlobStoreError) { read = try blob.file.read(at: blob.start + offset, into: &destination) } catch {
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
        do throws(BlobStoreError) { found = try blob.file.digest(of: blob.range, while: goesOn) } catch {
            throw lossOrFailure(of: digest, error)
        }
        guard let found else { return nil }
        guard found == digest else { throw lose(digest, .otherBytes(found: found)) }
        return true
    }

    struct OpenBlob: ~Copyable {
        let file: StoreFile
        /// Where the blob's bytes begin in the file.
        let start: Int
        let byteCount: Int
        /// The bytes that are hashed: a file as a whole, so that what was added to it is noticed.
        let range: Range<Int>
    }

    /// Opens under the lock, so that the file cannot be renamed between look-up and opening.
    func openBlob(_ digest: BlobDigest) throws(BlobStoreError) -> OpenBlob? {
        try contents.withLock { (contents: inout BlobIndex) throws(BlobStoreError) -> OpenBlob? in
            guard let blob = contents.blobs[digest] else { return nil }
            do throws(BlobStoreError) {
                let file = try StoreFile(opening: contents.path(of: digest, at: blob.place), flags: O_RDONLY)
                guard case .segment(_, let start) = blob.place else {
                    return OpenBlob(file: file, start: 0, byteCount: blob.byteCount, range: 0..<Int.max)
                }
                return OpenBlob(
                    file: file, start: start, byteCount: blob.byteCount, range: start..<start + blob.byteCount)
            } catch {
                throw lossOrFailure(of: digest, error, in: &contents)
            }
        }
    }

    /// Opens a segment in the same way; `nil` when it was removed.
    ///
    /// - Throws: ``BlobStoreError/lost(_:)`` when the segment and its blobs are lost, or the failed call.
    func openSegment(_ number: Int) throws(BlobStoreError) -> StoreFile? {
        try contents.withLock { (contents: inout BlobIndex) throws(BlobStoreError) -> StoreFile? in
            guard contents.small.segments[number] != nil else { return nil }
            let path = contents.small.path(of: number)
            do throws(BlobStoreError) {
                return try StoreFile(opening: path, flags: O_RDONLY)
            } catch {
                guard let fault = fault(of: error) else { throw error }
                loseSegment(number, fault, in: &contents)
                throw .lost(BlobLoss(nil, at: path, fault))
            }
        }
    }

    // MARK: - Losses

    /// The error after a failed read: the blob's loss, or the failure itself when the blob is not its cause.
    private func lossOrFailure(of digest: BlobDigest, _ error: BlobStoreError) -> BlobStoreError {
        contents.withLock { lossOrFailure(of: digest, error, in: &$0) }
    }

    private func lossOrFailure(
        of digest: BlobDigest, _ error: BlobStoreError, in contents: inout BlobIndex
    ) -> BlobStoreError {
        guard let fault = fault(of: error) else { return error }
        return lose(digest, fault, in: &contents)
    }

    func fault(of error: BlobStoreError) -> BlobLoss.Fault? {
        guard case .file(.callFailed(_, let call, let code)) = error else { return nil }
        return BlobLoss.Fault(call: call, code: code)
    }

    /// Removes a blob that does not match its name, reports the loss, and returns the error for the caller.
    @discardableResult
    func lose(_ digest: BlobDigest, _ fault: BlobLoss.Fault) -> BlobStoreError {
        contents.withLock { lose(digest, fault, in: &$0) }
    }

    /// The same under the lock; a segment that is gone or cannot be opened is lost with all its blobs.
    @discardableResult
    func lose(_ digest: BlobDigest, _ fault: BlobLoss.Fault, in contents: inout BlobIndex) -> BlobStoreError {
        guard let blob = contents.blobs[digest] else { return .missing(directory: directory, digest: digest) }
        let file = contents.path(of: digest, at: blob.place)
        let loss = BlobLoss(digest, at: file, fault)
        if case .segment(let number, _) = blob.place {
            if fault.isOfWholeFile {
                loseSegment(number, fault, in: &contents)
                return .lost(loss)
            }
            contents.small.seal(number)
        } else {
            StoreDirectory.discard(file)
        }
        contents.remove(digest)
        lossSink.yield(loss)
        return .lost(loss)
    }

    private func loseSegment(_ number: Int, _ fault: BlobLoss.Fault, in contents: inout BlobIndex) {
        let file = contents.small.path(of: number)
        for record in contents.records(inSegment: number) {
            contents.remove(record.digest)
            lossSink.yield(BlobLoss(record.digest, at: file, fault))
        }
        contents.small.drop(number)
    }

    // MARK: - Removing

    /// Removes a blob; false if the store does not hold it.
    ///
    /// Reads in progress continue.
    ///
    /// - Throws: ``BlobStoreError/callFailed(path:call:code:)``; the blob is then kept.
    @discardableResult
    public func remove(_ digest: BlobDigest) throws(BlobStoreError) -> Bool {
        let place = try contents.withLock { (contents: inout BlobIndex) throws(BlobStoreError) -> BlobIndex.Place? in
            guard let place = contents.blobs[digest]?.place else { return nil }
            if place == .pending || place == .durable {
                let file = contents.path(of: digest, at: place)
                do throws(BlobStoreError) { _ = try StoreDirectory.remove(file) } catch {
                    // Something other than our file has the name.
                    StoreDirectory.discard(file)
                    guard !Directories.exists(file) else { throw error }
                }
            }
            contents.remove(digest)
            return place
        }
        if case .segment = place { compact() }
        return place != nil
    }
}
