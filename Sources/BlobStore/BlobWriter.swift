import FileAccess
import Glibc
import Hashing
public import Identifiers
import SystemPackage

/// A blob that is written in parts; it is hashed on the way, and named after the last part.
///
/// For one task at a time. A writer that is dropped before ``finish(expecting:)`` leaves nothing behind.
public final class BlobWriter {
    /// Bytes appended so far.
    public private(set) var byteCount = 0
    private let store: BlobStore
    private let file: StoreFile
    private var hash = SHA256()
    private var isAdopted = false

    init(store: BlobStore, path: FilePath) throws(BlobStoreError) {
        self.store = store
        self.file = try StoreFile(opening: path, flags: O_RDWR | O_CREAT | O_EXCL)
    }

    deinit {
        if !isAdopted { _ = try? StoreDirectory.remove(file.path) }
    }

    /// Appends bytes; they are not kept.
    ///
    /// - Throws: ``BlobStoreError``, with ``BlobStoreError/diskFull(path:call:)`` as its own case; the bytes appended
    ///   before are kept, and the same bytes may be appended again.
    public func append(_ bytes: RawSpan) throws(BlobStoreError) {
        try file.write(bytes, at: byteCount)
        hash.update(bytes)
        byteCount += bytes.byteCount
    }

    /// Puts the blob into the store.
    ///
    /// ``BlobStore`` documents when it is durable. The writer cannot be used afterwards.
    ///
    /// - Parameter expected: the digest that the sender announced, or nil to accept any bytes.
    /// - Returns: the digest of the bytes.
    /// - Throws: ``BlobStoreError/digestMismatch(directory:expected:found:)`` or the failed call; the store is
    ///   unchanged and the bytes are removed.
    @discardableResult
    public func finish(expecting expected: BlobDigest? = nil) throws(BlobStoreError) -> BlobDigest {
        precondition(!isAdopted, "the blob writer of \(file.path) was finished twice")
        let found = BlobDigest(sha256: hash.finalize())
        if let expected, expected != found {
            _ = try? StoreDirectory.remove(file.path)
            throw .digestMismatch(directory: store.directory, expected: expected, found: found)
        }
        try store.adopt(file.path, as: found, byteCount: byteCount)
        isAdopted = true
        return found
    }
}
