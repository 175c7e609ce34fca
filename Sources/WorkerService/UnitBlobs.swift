import BlobStore
import Identifiers
import JobPlan
import LinearAlgebra
import Messaging
import Synchronization
import WireProtocol
import ZeroMQ

/// The blobs of one unit: those that it reads and those that it makes stay in the cache until ``release()``.
///
/// A blob is read from the cache where it is there, else fetched into it from the coordinator. Whatever is read was
/// checked against its digest before: on a disk that lies, a unit fails rather than computing on.
final class UnitBlobs: Sendable {
    /// Bytes read at a time, so that progress shows.
    private static let pieceBytes = 16 << 20

    /// Counts the unit's steps.
    let progress: UnitProgressCounter
    private let cache: BlobCache
    private let connection: WorkerConnection
    private let turns: FetchTurns
    private let pinned = Mutex<[BlobDigest]>([])

    init(cache: BlobCache, connection: WorkerConnection, turns: FetchTurns, progress: UnitProgressCounter) {
        self.cache = cache
        self.connection = connection
        self.turns = turns
        self.progress = progress
    }

    /// Lets go of all blobs of the unit; they may be evicted from now on.
    func release() {
        let digests = pinned.withLock { pinned in
            defer { pinned = [] }
            return pinned
        }
        for digest in digests { cache.unpin(digest) }
    }

    private func keepPinned(_ digest: BlobDigest) {
        pinned.withLock { $0.append(digest) }
    }

    // MARK: - Inputs

    /// Brings blobs here, one after the other, and checks them, so that ``read(_:at:into:)`` can read their ranges.
    ///
    /// - Throws: ``UnitError/inputMissing(_:)`` for a blob that cannot be had or is damaged, ``BlobCacheError`` when
    ///   there is no room for it.
    func prepare(_ blobs: [LeasedBlob]) async throws {
        var seen: Set<BlobReference> = []
        for blob in blobs where seen.insert(blob.reference).inserted {
            // What was fetched just now was hashed on its way.
            if try await obtain(blob.reference) { try check(blob.reference) }
        }
    }

    /// Reads a packed factor whole.
    ///
    /// - Throws: ``UnitError/malformedLease(_:)`` when its size is not that of the dimension, and what
    ///   ``prepare(_:)`` throws.
    func matrix(_ blob: LeasedBlob, dimension: Int) async throws -> PackedSymmetricMatrix<Float> {
        try requireTriangle(blob, of: Float.self, dimension: dimension)
        var matrix = try PackedSymmetricMatrix<Float>(dimension: dimension)
        _ = try await obtain(blob.reference)
        try matrix.withMutableBytes { bytes throws in
            for start in stride(from: 0, to: bytes.byteCount, by: Self.pieceBytes) {
                var piece = bytes._mutatingExtracting(start..<min(start + Self.pieceBytes, bytes.byteCount))
                try read(blob.reference.digest, at: start, into: &piece)
            }
        }
        guard matrix.withBytes({ BlobDigest(hashing: $0) }) == blob.reference.digest else {
            throw damaged(blob.reference.digest)
        }
        try progress.step()
        return matrix
    }

    /// Fills `destination` with bytes of a blob that ``prepare(_:)`` has brought here.
    ///
    /// - Throws: ``UnitError/inputMissing(_:)`` when it is gone meanwhile.
    func read(_ digest: BlobDigest, at offset: Int, into destination: inout MutableRawSpan) throws {
        do {
            try cache.read(digest, at: offset, into: &destination)
        } catch .lost(let error) {
            throw UnitError.inputMissing("blob \(digest) was lost: \(error)")
        }
        try progress.step()
    }

    /// Refuses a lease whose blob is no packed triangle of a dimension.
    ///
    /// - Throws: ``UnitError/malformedLease(_:)``.
    func requireTriangle<Scalar: MatrixScalar>(_ blob: LeasedBlob, of type: Scalar.Type, dimension: Int) throws {
        let elements = try PackedTriangle.elementCount(dimension: dimension)
        guard dimension > 0, blob.reference.byteCount == UInt64(elements) * UInt64(MemoryLayout<Scalar>.size) else {
            throw UnitError.malformedLease("blob \(blob.reference.digest) is no triangle of dimension \(dimension)")
        }
    }

    /// Pins a blob, fetching it where it is not here; true when its bytes lay on the disk and must be checked.
    private func obtain(_ blob: BlobReference) async throws -> Bool {
        progress.setWaiting(true)
        defer { progress.setWaiting(false) }
        while true {
            try Task.checkCancellation()
            if cache.pin(blob) {
                keepPinned(blob.digest)
                return true
            }
            guard await turns.begin(blob.digest) else { continue }
            do {
                try await fetch(blob)
            } catch {
                await turns.end(blob.digest)
                throw error
            }
            await turns.end(blob.digest)
            return false
        }
    }

    private func fetch(_ blob: BlobReference) async throws {
        let writer = try cache.beginWrite(byteCount: blob.byteCount)
        do {
            try await connection.fetch(.blob(blob.digest), offset: 0, byteCount: blob.byteCount) { chunk, _ in
                try chunk.withBytes { bytes throws in try writer.append(bytes) }
                try progress.step()
            }
        } catch MessagingError.transferFailed(_, let message) {
            throw UnitError.inputMissing("blob \(blob.digest) cannot be had from the coordinator: \(message)")
        }
        do {
            keepPinned(try writer.finish(expecting: blob.digest).digest)
        } catch .store(.digestMismatch(_, _, let found)) {
            throw UnitError.inputMissing(
                "blob \(blob.digest) came from the coordinator with bytes of the digest \(found)")
        }
    }

    private func check(_ blob: BlobReference) throws {
        let found: BlobDigest?
        do {
            found = try cache.computedDigest(of: blob.digest) { (try? progress.step()) != nil }
        } catch .lost(let error) {
            throw UnitError.inputMissing("blob \(blob.digest) was lost: \(error)")
        }
        guard let found else { throw CancellationError() }
        guard found == blob.digest else { throw damaged(blob.digest) }
    }

    /// Removes a blob whose bytes are not what its name says.
    private func damaged(_ digest: BlobDigest) -> UnitError {
        let path = cache.path(of: digest)
        cache.discard([digest])
        return .inputMissing(
            "\(path): the file of blob \(digest) is damaged: its bytes have another digest; it was removed")
    }

    // MARK: - Outputs

    /// Begins an output whose bytes come in parts.
    ///
    /// - Throws: ``BlobCacheError``.
    func beginWrite(byteCount: UInt64) throws -> CacheWriter {
        try cache.beginWrite(byteCount: byteCount)
    }

    /// Ends an output.
    ///
    /// - Throws: ``BlobCacheError``.
    func finish(_ writer: CacheWriter) throws -> BlobReference {
        let blob = try writer.finish()
        keepPinned(blob.digest)
        return blob
    }

    /// Stores an output that is in memory.
    ///
    /// - Throws: ``BlobCacheError``.
    func store(_ bytes: RawSpan) throws -> BlobReference {
        let writer = try beginWrite(byteCount: UInt64(bytes.byteCount))
        for start in stride(from: 0, to: bytes.byteCount, by: Self.pieceBytes) {
            try writer.append(bytes.extracting(start..<min(start + Self.pieceBytes, bytes.byteCount)))
            try progress.step()
        }
        return try finish(writer)
    }
}
