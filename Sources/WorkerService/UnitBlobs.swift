import BlobStore
import Hashing
import Identifiers
import LinearAlgebra
import Messaging
import Synchronization
import UnitOperations
import WireProtocol
import ZeroMQ

/// The blobs of one unit; its inputs and outputs stay in the cache until ``release()``.
///
/// A blob is read from the cache, and is first fetched from the coordinator when it is missing. Every read hashes the
/// blob in the same pass. Nothing that was made from a blob is kept before that pass has verified it. So on a faulty
/// disk a unit fails and reports the damage, before it reports anything about the numbers.
final class UnitBlobs: Sendable {
    /// Bytes that are read at a time, so that progress shows.
    private static let pieceBytes = 16 << 20

    /// Counts the unit's steps.
    let progress: UnitProgressCounter
    private let cache: BlobCache
    private let connection: WorkerConnection
    private let turns: FetchTurns
    private let placement: OutputPlacement
    private let pinned = Mutex<[BlobDigest]>([])
    /// The input blobs, each with its verifying pass.
    private let inputs = Mutex<[BlobDigest: VerifiedBlob]>([:])

    /// The outputs that were placed from memory.
    private let placed = Mutex<[Int: Checksum]>([:])

    init(cache: BlobCache, connection: WorkerConnection, turns: FetchTurns, placement: OutputPlacement) {
        self.cache = cache
        self.connection = connection
        self.turns = turns
        self.placement = placement
        progress = placement.progress
    }

    /// Releases all blobs of the unit; from now on they may be evicted.
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

    /// Brings blobs into the cache, one after the other, so that ``read(_:at:into:)`` can read their ranges.
    ///
    /// - Throws: ``UnitError/inputMissing(_:)`` for a blob that cannot be fetched, ``BlobCacheError`` when there is no
    ///   room for it.
    func prepare(_ blobs: [BlobReference]) async throws {
        for blob in blobs where inputs.withLock({ $0[blob.digest] == nil }) {
            try await obtain(blob)
            try open(blob)
        }
    }

    private func open(_ blob: BlobReference) throws {
        do {
            let input = try cache.blob(blob)
            inputs.withLock { $0[blob.digest] = input }
        } catch {
            guard case .lost(let cause) = error else { throw error }
            throw lost(blob.digest, cause)
        }
    }

    /// Reads a whole factor.
    ///
    /// - Throws: ``UnitError/malformedLease(_:)`` when its size does not fit the shape, and what ``prepare(_:)``
    ///   and ``read(_:at:into:)`` throw.
    func matrix<Scalar: MatrixScalar>(
        _ blob: BlobReference, of shape: SymmetricShape
    ) async throws -> PackedSymmetricMatrix<Scalar> {
        try requireFactor(blob, of: Scalar.self, shape)
        var matrix = try PackedSymmetricMatrix<Scalar>(shape: shape)
        try await prepare([blob])
        try matrix.withMutableBytes { bytes throws in
            for start in stride(from: 0, to: bytes.byteCount, by: Self.pieceBytes) {
                var piece = bytes._mutatingExtracting(start..<min(start + Self.pieceBytes, bytes.byteCount))
                try read(blob.digest, at: start, into: &piece)
            }
        }
        return matrix
    }

    /// Fills `destination` with bytes of a blob that ``prepare(_:)`` has brought.
    ///
    /// All ranges must be read in order. The last one shows whether the bytes match the blob's digest.
    ///
    /// - Throws: ``UnitError/inputMissing(_:)`` when the blob is gone meanwhile, or is damaged.
    func read(_ digest: BlobDigest, at offset: Int, into destination: inout MutableRawSpan) throws {
        guard let input = inputs.withLock({ $0[digest] }) else {
            preconditionFailure("blob \(digest) was read before it was prepared")
        }
        do {
            try input.read(at: offset, into: &destination)
        } catch {
            throw lost(digest, error)
        }
        try progress.step()
    }

    /// Notes the loss of a blob, if the error means one.
    private func lost(_ digest: BlobDigest, _ error: BlobStoreError) -> any Error {
        switch cache.noteLoss(of: digest, error) {
        case .lost(let error):
            inputs.withLock { $0[digest] = nil }
            return UnitError.inputMissing("blob \(digest) was lost: \(error)")
        case let other: return other
        }
    }

    private func requireProved(_ input: VerifiedBlob) throws {
        let isProved: Bool
        do {
            isProved = try input.verify { (try? progress.step()) != nil }
        } catch {
            throw lost(input.digest, error)
        }
        guard isProved else { throw CancellationError() }
    }

    /// Checks whether damaged inputs explain a unit's failure, and removes all of them.
    ///
    /// If they were found one by one, each would cost an attempt.
    ///
    /// - Returns: The error to report instead; `nil` when the inputs are intact, or the failure already names them.
    func lossBehind(_ failure: any Error) -> UnitError? {
        var losses: [any Error] = []
        if case UnitError.inputMissing = failure { losses.append(failure) }
        for input in inputs.withLock({ Array($0.values) }) {
            do {
                try requireProved(input)
            } catch {
                if error is CancellationError { return nil }
                if case UnitError.inputMissing = error { losses.append(error) }
            }
        }
        guard let first = losses.first else { return nil }
        return .inputMissing("\(first)" + (losses.count > 1 ? " So were \(losses.count - 1) other inputs." : ""))
    }

    /// Refuses a lease whose blob has not the elements of a factor of a shape.
    ///
    /// - Throws: ``UnitError/malformedLease(_:)``.
    func requireFactor<Scalar: MatrixScalar>(
        _ blob: BlobReference, of type: Scalar.Type, _ shape: SymmetricShape
    ) throws {
        let elements = try shape.elementCount()
        guard shape.dimension > 0, blob.byteCount == UInt64(elements) * UInt64(MemoryLayout<Scalar>.size) else {
            let form = shape.isDiagonal ? "diagonal" : "triangle"
            throw UnitError.malformedLease("blob \(blob.digest) is no \(form) of dimension \(shape.dimension)")
        }
    }

    /// Pins a blob, after fetching it if it is missing.
    private func obtain(_ blob: BlobReference) async throws {
        progress.setWaiting(true)
        defer { progress.setWaiting(false) }
        while true {
            try Task.checkCancellation()
            if cache.pin(blob) {
                keepPinned(blob.digest)
                return
            }
            guard await turns.begin(blob.digest) else { continue }
            do {
                try await fetch(blob)
            } catch {
                await turns.end(blob.digest)
                throw error
            }
            await turns.end(blob.digest)
            return
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

    // MARK: - Outputs

    /// Begins an output that is written in parts.
    ///
    /// - Throws: ``BlobCacheError``.
    func beginWrite(byteCount: UInt64) throws -> CacheWriter {
        try cache.beginWrite(byteCount: byteCount)
    }

    /// Ends an output, once everything that was read for it is verified.
    ///
    /// - Throws: ``BlobCacheError``, ``UnitError/inputMissing(_:)`` for an input that does not match its name.
    func finish(_ writer: CacheWriter) throws -> BlobReference {
        try requireProvedInputs()
        let blob = try writer.finish()
        keepPinned(blob.digest)
        return blob
    }

    private func requireProvedInputs() throws {
        for input in inputs.withLock({ Array($0.values) }) { try requireProved(input) }
    }

    /// Writes a matrix into its places in the job's files, and stores it unless these are all that anybody reads.
    ///
    /// - Parameters:
    ///   - matrix: An output.
    ///   - position: Its position among the unit's outputs.
    /// - Returns: The blob, stored or not.
    /// - Throws: ``BlobCacheError``, ``UnitError/inputMissing(_:)`` for an input that does not match its name.
    func store(_ matrix: borrowing PackedSymmetricMatrix<Float>, at position: Int) throws -> BlobReference {
        try requireProvedInputs()
        if let checksum = placement.place(matrix, at: position) {
            placed.withLock { $0[position] = checksum }
            if placement.isOnlyCopy(position) {
                return matrix.withBytes {
                    BlobReference(digest: BlobDigest(hashing: $0), byteCount: UInt64($0.byteCount))
                }
            }
        }
        return try matrix.withBytes { bytes throws in try store(bytes) }
    }

    /// Writes the outputs that were not placed from memory into their places.
    ///
    /// - Parameter result: The unit's result.
    /// - Returns: By position, the checksum of what stands in an output's places; `nil` without any.
    func place(_ result: UnitResult) -> [Int: Checksum]? {
        var checksums = placed.withLock { $0 }
        for position in Set(placement.places.map(\.position)).sorted() where checksums[position] == nil {
            guard let blob = result.blob(at: position) else { continue }
            checksums[position] = placement.place(blob, at: position)
        }
        return checksums.isEmpty ? nil : checksums
    }

    /// Stores an output from memory.
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
