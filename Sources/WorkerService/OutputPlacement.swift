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

    /// Bytes that are read at a time.
    private static let pieceBytes = 4 << 20
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
    /// - Returns: The positions of the outputs that stand in all of their places; `nil` without any.
    func place(_ result: UnitResult, of lease: UnitLease) -> Set<Int>? {
        var positions = Set(lease.places.map(\.position))
        for place in lease.places where positions.contains(place.position) {
            do {
                guard let blob = result.blob(at: place.position) else { throw Problem.unseen }
                try write(blob, to: place)
            } catch {
                positions.remove(place.position)
            }
        }
        return positions.isEmpty ? nil : positions
    }

    private func write(_ blob: BlobReference, to place: OutputPlace) throws {
        guard let file = files.open(place.file) else { throw Problem.unseen }
        let (offset, byteCount) = (Int(place.offset), Int(clamping: blob.byteCount))
        if let rows = place.squareRows {
            guard byteCount == 4 * (try PackedTriangle.elementCount(dimension: rows)) else { throw Problem.unseen }
            try forEachPiece(of: blob) { bytes, start in
                // A piece ends anywhere in a row.
                for row in PackedTriangle.row(containing: start / 4)..<rows {
                    let first = 4 * PackedTriangle.offset(ofRow: row)
                    let (low, high) = (max(first, start), min(first + 4 * (row + 1), start + bytes.byteCount))
                    guard low < high else { break }
                    try file.write(
                        bytes.extracting(low - start..<high - start), at: offset + 4 * row * rows + low - first)
                }
            }
            file.beginWriting(at: offset, count: 4 * rows * rows)
        } else {
            let end = place.offset.addingReportingOverflow(blob.byteCount)
            guard !end.overflow, end.partialValue <= place.file.byteCount else { throw Problem.unseen }
            try forEachPiece(of: blob) { bytes, start in try file.write(bytes, at: offset + start) }
            file.beginWriting(at: offset, count: byteCount)
        }
    }

    /// Reads a blob from start to end, and ends when the unit was revoked, or may have been while this process stood
    /// still.
    private func forEachPiece(
        of blob: BlobReference, _ body: (_ bytes: RawSpan, _ start: Int) throws -> Void
    ) throws {
        let byteCount = Int(clamping: blob.byteCount)
        var piece = [UInt8](repeating: 0, count: min(Self.pieceBytes, byteCount))
        var last = ContinuousClock.now
        for start in stride(from: 0, to: byteCount, by: Self.pieceBytes) {
            let count = min(piece.count, byteCount - start)
            var span = piece.mutableSpan
            var bytes = span.mutableBytes
            var target = bytes._mutatingExtracting(0..<count)
            try cache.read(blob.digest, at: start, into: &target)
            try progress.step()
            let now = ContinuousClock.now
            guard !Task.isCancelled, now - last < Self.pauseMax else { throw Problem.revoked }
            last = now
            try body(piece.span.bytes.extracting(first: count), start)
        }
    }
}
