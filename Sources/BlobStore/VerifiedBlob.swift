import Hashing
public import Identifiers
import Synchronization

/// A blob that is read in ranges and hashed in the same pass.
///
/// Consecutive ranges from the blob's start on are hashed as they are read. The last range completes the pass. It
/// throws if the bytes of the pass do not match the name. So nothing made from a blob may be published before a
/// complete pass, or before ``verify(while:)`` has returned. A read from the start begins a new pass.
///
/// Safe to use from any thread, but only for one pass at a time.
public final class VerifiedBlob: Sendable {
    /// The blob.
    public let digest: BlobDigest
    /// Its size in bytes.
    public let byteCount: Int
    private let store: BlobStore
    private let pass = Mutex(Pass())

    private struct Pass {
        var hash = SHA256()
        /// The hashed bytes of the pass; `nil` when ranges were not consecutive.
        var hashed: Int? = 0
        /// Whether the last complete pass matched the name and nothing was read since.
        var isVerified = false

        /// Takes bytes that were read; true when they complete the blob.
        mutating func note(_ bytes: RawSpan, at offset: Int, of byteCount: Int) -> Bool {
            if offset == 0 { self = Pass() }
            isVerified = false
            guard hashed == offset else {
                hashed = nil
                return false
            }
            hash.update(bytes)
            hashed = offset + bytes.byteCount
            return hashed == byteCount
        }
    }

    init(_ digest: BlobDigest, byteCount: Int, in store: BlobStore) {
        self.digest = digest
        self.byteCount = byteCount
        self.store = store
    }

    /// Fills `destination` with the bytes from `offset` on.
    ///
    /// - Throws: ``BlobStoreError``; ``BlobStoreError/lost(_:)`` also when these bytes complete the pass and the pass
    ///   does not match the name.
    public func read(at offset: Int, into destination: inout MutableRawSpan) throws(BlobStoreError) {
        try store.read(digest, at: offset, into: &destination)
        let bytes = destination.bytes
        let isComplete = pass.withLock { $0.note(bytes, at: offset, of: byteCount) }
        if isComplete { try endPass() }
    }

    private func endPass() throws(BlobStoreError) {
        let found = pass.withLock { BlobDigest(sha256: $0.hash.finalize()) }
        guard found == digest else { throw store.lose(digest, .otherBytes(found: found)) }
        pass.withLock { $0.isVerified = true }
    }

    /// Verifies the bytes against the name; returns at once after a complete pass.
    ///
    /// - Parameter goesOn: Called between the blocks that must be read; false stops the reading.
    /// - Returns: Whether the bytes are verified; false when `goesOn` stopped the reading.
    /// - Throws: ``BlobStoreError``; ``BlobStoreError/lost(_:)`` when they do not match.
    @discardableResult
    public func verify(while goesOn: () -> Bool = { true }) throws(BlobStoreError) -> Bool {
        if pass.withLock(\.isVerified) { return true }
        guard let isIntact = try store.verify(digest, while: goesOn) else { return false }
        pass.withLock { $0.isVerified = isIntact }
        return isIntact
    }
}
