import BlobStore
import FileAccess
import Identifiers

/// A blob that is being written to the cache, with its reserved room.
///
/// One task at a time may use it. A writer that is released before ``finish(expecting:)`` leaves nothing behind.
final class CacheWriter {
    private let cache: BlobCache
    private var writer: BlobWriter?
    private var reserved: UInt64

    init(cache: BlobCache, writer: BlobWriter, reserved: UInt64) {
        self.cache = cache
        self.writer = writer
        self.reserved = reserved
    }

    deinit { cache.release(reserved) }

    /// Appends bytes; on a full disk, unused blobs are evicted once.
    ///
    /// - Throws: ``BlobCacheError/noSpace(directory:needed:limit:inUse:free:)`` or ``BlobCacheError/store(_:)``.
    func append(_ bytes: RawSpan) throws(BlobCacheError) {
        guard let writer else { preconditionFailure("a cache writer was used after its end") }
        let needed = UInt64(writer.byteCount) + UInt64(bytes.byteCount)
        if needed > reserved {
            try cache.reserve(needed - reserved)
            reserved = needed
        }
        // The rest of the blob needs room too.
        let missing = reserved - UInt64(writer.byteCount)
        do {
            try writer.append(bytes)
            return
        } catch .file(.diskFull) {
            try cache.relieve(missing)
        } catch {
            throw .store(error)
        }
        do { try writer.append(bytes) } catch { throw cache.failure(error, needed: missing) }
    }

    /// Adds the blob to the cache, pinned once; on a full disk, unused blobs are evicted once.
    ///
    /// - Parameter expected: The digest that the sender announced, or nil to accept any bytes.
    /// - Returns: The blob.
    /// - Throws: ``BlobCacheError/store(_:)`` with `BlobStoreError.digestMismatch` for other bytes than expected, or
    ///   ``BlobCacheError/noSpace(directory:needed:limit:inUse:free:)``.
    func finish(expecting expected: BlobDigest? = nil) throws(BlobCacheError) -> BlobReference {
        guard let writer else { preconditionFailure("a cache writer was used after its end") }
        let byteCount = UInt64(writer.byteCount)
        let digest: BlobDigest
        do {
            digest = try writer.finish(expecting: expected)
        } catch .file(.diskFull) {
            // A small blob takes its room only here. Room comes back in whole segments.
            try cache.relieve(max(byteCount, BlobStore.segmentByteCount))
            do { digest = try writer.finish(expecting: expected) } catch {
                throw cache.failure(error, needed: byteCount)
            }
        } catch {
            throw .store(error)
        }
        let blob = BlobReference(digest: digest, byteCount: byteCount)
        self.writer = nil
        cache.admit(blob, reserved: reserved)
        reserved = 0
        return blob
    }

    /// Removes what was written.
    func abandon() {
        writer = nil
        cache.release(reserved)
        reserved = 0
    }
}
