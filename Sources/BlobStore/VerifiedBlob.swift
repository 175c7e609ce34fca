import Crypto
public import Identifiers
import Synchronization

/// A blob that is read in ranges and hashed in the same pass.
///
/// Ranges that follow each other from the blob's start are hashed as they pass; with the last of them it is known
/// whether all of them were what the name says, and the read that completes them throws if they were not. So nothing
/// that is made of a blob may be published before a pass over it is complete, or ``verify(while:)`` has returned. A
/// read from the start begins a new pass.
///
/// Safe to use from any thread, but for one pass at a time.
public final class VerifiedBlob: Sendable {
    /// The blob.
    public let digest: BlobDigest
    /// Its size in bytes.
    public let byteCount: Int
    private let store: BlobStore
    private let pass = Mutex(Pass())

    private struct Pass {
        var hash = SHA256()
        /// Bytes of the pass that were hashed; `nil` when ranges did not follow each other.
        var hashed: Int? = 0
        /// Whether the last pass over the whole blob gave its name, and nothing was read since.
        var isVerified = false

        /// Takes in bytes that were read; true when they complete the blob.
        mutating func note(_ bytes: UnsafeRawBufferPointer, at offset: Int, of byteCount: Int) -> Bool {
            if offset == 0 { self = Pass() }
            isVerified = false
            guard hashed == offset else {
                hashed = nil
                return false
            }
            hash.update(bufferPointer: bytes)
            hashed = offset + bytes.count
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
    /// - Throws: ``BlobStoreError``; ``BlobStoreError/lost(_:)`` also when the bytes of this pass, of which these are
    ///   the last, are not those of the name.
    public func read(at offset: Int, into destination: inout MutableRawSpan) throws(BlobStoreError) {
        try store.read(digest, at: offset, into: &destination)
        let isComplete = destination.withUnsafeBytes { bytes in
            pass.withLock { $0.note(bytes, at: offset, of: byteCount) }
        }
        if isComplete { try endPass() }
    }

    private func endPass() throws(BlobStoreError) {
        let found = pass.withLock { BlobDigest($0.hash.finalize()) }
        guard found == digest else { throw store.lose(digest, .otherBytes(found: found)) }
        pass.withLock { $0.isVerified = true }
    }

    /// Returns when the bytes are known to be those of the name: at once after a complete pass.
    ///
    /// - Parameter goesOn: Asked after every block that must be read for it; false ends the reading.
    /// - Returns: Whether it is known; not when `goesOn` ended the reading.
    /// - Throws: ``BlobStoreError``, ``BlobStoreError/lost(_:)`` when they are not.
    @discardableResult
    public func verify(while goesOn: () -> Bool = { true }) throws(BlobStoreError) -> Bool {
        if pass.withLock(\.isVerified) { return true }
        guard let isIntact = try store.verify(digest, while: goesOn) else { return false }
        pass.withLock { $0.isVerified = isIntact }
        return isIntact
    }
}
