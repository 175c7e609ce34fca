import FileAccess
import Hashing
public import Identifiers

/// A blob that is written in parts; it is hashed on the way, and named after the last part.
///
/// It stays in memory until it is too large for a segment; then it becomes a file.
///
/// For one task at a time. A writer that is dropped before ``finish(expecting:)`` leaves nothing behind.
public final class BlobWriter {
    /// Bytes appended so far.
    public private(set) var byteCount = 0
    private let store: BlobStore
    /// The blob, as long as it has no file.
    private var record = RecordBuffer()
    private var file: IncomingFile?
    private var hash = SHA256()
    private var isFinished = false

    init(store: BlobStore) { self.store = store }

    /// Appends bytes; they are not kept.
    ///
    /// - Throws: ``BlobStoreError``, with ``BlobStoreError/diskFull(path:call:)`` as its own case; the bytes appended
    ///   before are kept, and the same bytes may be appended again.
    public func append(_ bytes: RawSpan) throws(BlobStoreError) {
        if file == nil, bytes.byteCount <= BlobRecord.blobByteCountMax - byteCount {
            record.append(bytes)
        } else {
            try ownFile().write(bytes, at: byteCount)
        }
        hash.update(bytes)
        byteCount += bytes.byteCount
    }

    private func ownFile() throws(BlobStoreError) -> IncomingFile {
        if let file { return file }
        let made = try store.newIncomingFile()
        let bytes = record.bytes
        try made.write(bytes.span.bytes.extracting(droppingFirst: BlobRecord.headerByteCount), at: 0)
        file = made
        record = RecordBuffer()
        return made
    }

    /// Puts the blob into the store.
    ///
    /// ``BlobStore`` documents when it is durable. The writer cannot be used afterwards.
    ///
    /// - Parameter expected: the digest that the sender announced, or nil to accept any bytes.
    /// - Returns: the digest of the bytes.
    /// - Throws: ``BlobStoreError/digestMismatch(directory:expected:found:)``; the bytes are removed. Or the failed
    ///   call, also of a full disk: the store is unchanged, and the call may be repeated.
    @discardableResult
    public func finish(expecting expected: BlobDigest? = nil) throws(BlobStoreError) -> BlobDigest {
        precondition(!isFinished, "a blob writer of \(store.directory) was finished twice")
        let found = BlobDigest(sha256: hash.finalize())
        if let expected, expected != found {
            isFinished = true
            file = nil
            throw .digestMismatch(directory: store.directory, expected: expected, found: found)
        }
        if let file {
            try store.adopt(file, as: found, byteCount: byteCount)
        } else {
            record.seal(as: found)
            try store.adopt(record, as: found)
        }
        isFinished = true
        return found
    }
}
