import FileAccess
import Identifiers
import LinearAlgebra
import Safetensors
import UnitOperations
import WireProtocol

/// Writes a unit's outputs into the staged files of its job, where this machine sees them.
///
/// Otherwise, and after any failure, the coordinator collects the blobs and writes them itself.
struct OutputPlacement {
    let files: StagedFiles
    let cache: BlobCache
    let progress: UnitProgressCounter
    /// The largest triangle that is held in memory, to be mirrored.
    ///
    /// Of a larger one the lower half of the square is written, and the coordinator writes the rest.
    var mirroredBytesMax = 40 << 20

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
            if byteCount <= mirroredBytesMax {
                try writeSquare(try matrix(of: blob, rows: rows), to: file, at: offset)
            } else {
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
            }
            file.beginWriting(at: offset, count: 4 * rows * rows)
        } else {
            let end = place.offset.addingReportingOverflow(blob.byteCount)
            guard !end.overflow, end.partialValue <= place.file.byteCount else { throw Problem.unseen }
            try forEachPiece(of: blob) { bytes, start in try file.write(bytes, at: offset + start) }
            file.beginWriting(at: offset, count: byteCount)
        }
    }

    private func matrix(of blob: BlobReference, rows: Int) throws -> PackedSymmetricMatrix<Float> {
        var matrix = try PackedSymmetricMatrix<Float>(dimension: rows)
        var last = ContinuousClock.now
        try matrix.withMutableBytes { (bytes: inout MutableRawSpan) in
            let byteCount = bytes.byteCount
            for start in stride(from: 0, to: byteCount, by: Self.pieceBytes) {
                var target = bytes._mutatingExtracting(start..<min(start + Self.pieceBytes, byteCount))
                try cache.read(blob.digest, at: start, into: &target)
                try requireLease(since: &last)
            }
        }
        return matrix
    }

    /// Writes both triangles, so that the coordinator need only compare them.
    private func writeSquare(
        _ matrix: borrowing PackedSymmetricMatrix<Float>, to file: borrowing OpenedFile<SafetensorsError>,
        at offset: Int
    ) throws {
        let (rows, rowBytes) = (matrix.dimension, 4 * matrix.dimension)
        let blockRows = max(1, min(rows, Self.pieceBytes / max(1, rowBytes)))
        var block = try Matrix<Float>(rows: blockRows, columns: rows)
        var last = ContinuousClock.now
        for first in stride(from: 0, to: rows, by: blockRows) {
            let part = first..<min(rows, first + blockRows)
            try block.withMutableSpan { (span: inout MutableSpan<Float>) throws(LinearAlgebraError) in
                var wanted = span._mutatingExtracting(first: part.count * rows)
                try matrix.unpackRows(part, into: &wanted)
            }
            try requireLease(since: &last)
            try block.withBytes { (bytes: RawSpan) throws(SafetensorsError) in
                try file.write(bytes.extracting(first: part.count * rowBytes), at: offset + first * rowBytes)
            }
        }
    }

    /// Ends the writing when the unit was revoked, or may have been while this process stood still.
    private func requireLease(since last: inout ContinuousClock.Instant) throws {
        try progress.step()
        let now = ContinuousClock.now
        guard !Task.isCancelled, now - last < Self.pauseMax else { throw Problem.revoked }
        last = now
    }

    /// Reads a blob from start to end, while the unit is this worker's.
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
            try requireLease(since: &last)
            try body(piece.span.bytes.extracting(first: count), start)
        }
    }
}
