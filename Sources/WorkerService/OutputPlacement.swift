import BlobStore
import FileAccess
import Identifiers
import LinearAlgebra
import UnitOperations
import WireProtocol

/// Writes a unit's outputs into the staged files of its job, where this machine sees them.
///
/// Otherwise, and after any failure, the coordinator collects the blobs and writes them itself.
struct OutputPlacement {
    let files: StagedFiles
    let cache: BlobCache
    let progress: UnitProgressCounter

    /// Bytes of full rows that are written at a time.
    private static let bandBytes = 8 << 20
    /// A process that stood still for so long may have lost its unit to another worker, and writes no more.
    private static let pauseMax: Duration = .seconds(10)

    private enum Problem: Error {
        case unseen
        case revoked
    }

    /// Writes the outputs that have places.
    ///
    /// - Parameters:
    ///   - result: The unit's result; its blobs are pinned in the cache.
    ///   - lease: The unit's lease, with the places.
    /// - Returns: The outputs that stand in all of their places; `nil` without any.
    func place(_ result: UnitResult, of lease: UnitLease) -> PlacedBlobs? {
        var positions = Set(lease.places.map(\.position))
        var sharesKernel = true
        for place in lease.places where positions.contains(place.position) {
            do {
                guard let blob = result.blob(at: place.position) else { throw Problem.unseen }
                if try !write(blob, to: place, lease.kernel) { sharesKernel = false }
            } catch {
                positions.remove(place.position)
            }
        }
        return positions.isEmpty ? nil : PlacedBlobs(positions: positions, sharesKernel: sharesKernel)
    }

    /// Writes a blob to a place.
    ///
    /// - Returns: Whether the coordinator reads the file through the same kernel.
    private func write(_ blob: BlobReference, to place: OutputPlace, _ kernel: String) throws -> Bool {
        guard let opened = files.open(place, kernel: kernel), let source = cache.open(blob.digest) else {
            throw Problem.unseen
        }
        let offset = Int(place.offset)
        if let rows = place.squareRows {
            guard source.byteCount == 4 * (try PackedTriangle.elementCount(dimension: rows)) else {
                throw Problem.unseen
            }
            try writeSquare(of: rows, source, opened.file, offset)
        } else {
            guard place.offset + UInt64(source.byteCount) <= place.file.byteCount else { throw Problem.unseen }
            try copy(source, opened.file, offset)
        }
        // On another machine the bytes must have left this one before the coordinator hears of them.
        if !opened.sharesKernel { try opened.file.synchronize() }
        return opened.sharesKernel
    }

    private func writeSquare(
        of dimension: Int, _ source: borrowing BlobStore.OpenBlob, _ file: borrowing OpenedFile<FileError>,
        _ offset: Int
    ) throws {
        var band = try SquareBand(dimension: dimension, byteCountMax: Self.bandBytes)
        var last = ContinuousClock.now
        for first in stride(from: 0, to: dimension, by: band.rowsMax) {
            let rows = first..<min(dimension, first + band.rowsMax)
            try band.fill(rows) { (element, destination) throws(BlobStoreError) in
                try source.read(at: 4 * element, into: &destination)
            }
            try requireLease(&last)
            try band.withBytes(of: rows) { (bytes: RawSpan) throws(FileError) in
                try file.write(bytes, at: offset + 4 * first * dimension)
            }
        }
        file.beginWriting(at: offset, count: 4 * dimension * dimension)
    }

    private func copy(
        _ source: borrowing BlobStore.OpenBlob, _ file: borrowing OpenedFile<FileError>, _ offset: Int
    ) throws {
        var piece = [UInt8](repeating: 0, count: min(Self.bandBytes, source.byteCount))
        var last = ContinuousClock.now
        for start in stride(from: 0, to: source.byteCount, by: max(1, piece.count)) {
            let count = min(piece.count, source.byteCount - start)
            var span = piece.mutableSpan
            var bytes = span.mutableBytes
            var target = bytes._mutatingExtracting(0..<count)
            try source.read(at: start, into: &target)
            try requireLease(&last)
            try file.write(piece.span.bytes.extracting(first: count), at: offset + start)
        }
        file.beginWriting(at: offset, count: source.byteCount)
    }

    /// Ends the writing when the unit was revoked, or may have been while this process stood still.
    private func requireLease(_ last: inout ContinuousClock.Instant) throws {
        try progress.step()
        let now = ContinuousClock.now
        guard !Task.isCancelled, now - last < Self.pauseMax else { throw Problem.revoked }
        last = now
    }
}
