import BlobStore
import FileAccess
import Hashing
import Identifiers
import LinearAlgebra
import Safetensors
import UnitOperations
import WireProtocol

/// Writes a unit's outputs into the staged files of its job, where this machine sees them.
///
/// Otherwise, and after any failure, the coordinator collects the blobs and writes them itself.
struct OutputPlacement: Sendable {
    let files: StagedFiles
    let cache: BlobCache
    /// Where the unit's outputs belong.
    let places: [OutputPlace]
    let progress: UnitProgressCounter
    /// The largest triangle that is read into memory as a whole, to be mirrored.
    var triangleBytesMax = 40 << 20
    /// Bytes of a block of rows that is mirrored at a time.
    var blockBytes = 4 << 20

    /// Bytes that are read or written at a time.
    private static let pieceBytes = 4 << 20
    /// A process that stood still for so long may have lost its unit to another worker, and writes no more.
    private static let pauseMax: Duration = .seconds(10)

    fileprivate enum Problem: Error {
        case unseen
        case revoked
    }

    /// Whether nobody needs the blob of an output that stands in its places.
    func isOnlyCopy(_ position: Int) -> Bool { places.allSatisfy { $0.position != position || $0.isOnlyCopy } }

    /// Writes an output from memory.
    ///
    /// - Returns: The checksum of what stands in each of its places; `nil` unless it stands in all of them.
    func place(_ matrix: borrowing PackedSymmetricMatrix<Float>, at position: Int) -> Checksum? {
        fillPlaces(of: position) { place, file, target throws in
            if let rows = place.squareRows {
                guard !matrix.shape.isDiagonal, matrix.dimension == rows else { throw Problem.unseen }
                try writeSquare(of: matrix, to: file, &target)
            } else {
                try matrix.withBytes { bytes throws in
                    try target.requireRoom(bytes.byteCount)
                    try write(bytes, to: file, &target)
                }
            }
        }
    }

    /// Writes an output from its blob, and verifies the blob in the same pass.
    ///
    /// - Returns: The checksum of what stands in each of its places; `nil` unless it stands in all of them.
    func place(_ blob: BlobReference, at position: Int) -> Checksum? {
        fillPlaces(of: position) { place, file, target throws in
            try write(blob, squareRows: place.squareRows, to: file, &target)
        }
    }

    /// Writes each place of an output.
    ///
    /// - Returns: The checksum of what stands in each of them; `nil` unless it stands in all of them.
    private func fillPlaces(
        of position: Int,
        _ write: (OutputPlace, borrowing OpenedFile<SafetensorsError>, inout PlaceWriter) throws -> Void
    ) -> Checksum? {
        var result: Checksum?
        for place in places where place.position == position {
            do {
                guard let file = files.open(place.file) else { return nil }
                var target = PlaceWriter(place)
                try write(place, file, &target)
                result = target.end(file)
            } catch {
                return nil
            }
        }
        return result
    }

    private func write(
        _ blob: BlobReference, squareRows: Int?, to file: borrowing OpenedFile<SafetensorsError>,
        _ target: inout PlaceWriter
    ) throws {
        let source = try cache.blob(blob)
        let byteCount = source.byteCount
        guard let rows = squareRows else {
            try target.requireRoom(byteCount)
            var piece = try Matrix<Float>(rows: 1, columns: min(Self.pieceBytes, byteCount + 3) / 4)
            for start in stride(from: 0, to: byteCount, by: Self.pieceBytes) {
                let count = min(Self.pieceBytes, byteCount - start)
                try read(source, at: start, count: count, into: &piece)
                try piece.withBytes { bytes throws in try write(bytes.extracting(first: count), to: file, &target) }
            }
            return
        }
        guard byteCount == 4 * (try PackedTriangle.elementCount(dimension: rows)) else { throw Problem.unseen }
        if byteCount <= triangleBytesMax {
            var matrix = try PackedSymmetricMatrix<Float>(dimension: rows)
            try matrix.withMutableBytes { bytes throws in try read(source, at: 0, into: &bytes) }
            try writeSquare(of: matrix, to: file, &target)
        } else {
            try writeSquare(of: source, rows: rows, to: file, &target)
        }
    }

    // MARK: - Squares

    private func writeSquare(
        of matrix: borrowing PackedSymmetricMatrix<Float>, to file: borrowing OpenedFile<SafetensorsError>,
        _ target: inout PlaceWriter
    ) throws {
        var block = try SquareRows(dimension: matrix.dimension, byteCountMax: blockBytes)
        for rows in block.parts {
            try block.fill(rows, of: matrix)
            try block.withBytes(of: rows) { bytes, _ throws in try write(bytes, to: file, &target) }
        }
    }

    /// Writes the square of a triangle that memory need not hold: each block takes its upper part from later rows.
    private func writeSquare(
        of source: VerifiedBlob, rows dimension: Int, to file: borrowing OpenedFile<SafetensorsError>,
        _ target: inout PlaceWriter
    ) throws {
        // Few blocks, because each reads a part of every later row.
        var block = try SquareRows(dimension: dimension, byteCountMax: 8 * blockBytes)
        let rowsMax = block.parts.first?.count ?? 0
        var packed = try Matrix<Float>(rows: rowsMax, columns: dimension)
        var elements = try Matrix<Float>(rows: max(1, Self.pieceBytes / (4 * max(1, rowsMax))), columns: rowsMax)
        for rows in block.parts {
            let first = PackedTriangle.offset(ofRow: rows.lowerBound)
            let count = PackedTriangle.offset(ofRow: rows.upperBound) - first
            try read(source, at: 4 * first, count: 4 * count, into: &packed)
            try packed.withSpan { span throws in try block.fill(rows, packed: span.extracting(first: count)) }
            for line in stride(from: rows.upperBound, to: dimension, by: elements.rowCount) {
                let lines = line..<min(dimension, line + elements.rowCount)
                try elements.withMutableBytes { bytes throws in
                    for (index, row) in lines.enumerated() {
                        let start = 4 * index * rows.count
                        var part = bytes._mutatingExtracting(start..<start + 4 * rows.count)
                        try read(
                            source, at: 4 * (PackedTriangle.offset(ofRow: row) + rows.lowerBound), into: &part)
                    }
                }
                try elements.withSpan { span throws in
                    try block.mirror(lines, columns: rows, span.extracting(first: lines.count * rows.count))
                }
                try requireLease(&target)
            }
            try block.withBytes(of: rows) { bytes, _ throws in try write(bytes, to: file, &target) }
        }
        // Parts that are not read in their order verify nothing.
        do {
            guard try source.verify(while: { (try? progress.step()) != nil }) else { throw Problem.revoked }
        } catch let error as BlobStoreError {
            throw cache.noteLoss(of: source.digest, error)
        }
    }

    // MARK: - Pieces

    private func read(
        _ source: VerifiedBlob, at offset: Int, count: Int, into matrix: inout Matrix<Float>
    ) throws {
        try matrix.withMutableBytes { bytes throws in
            var part = bytes._mutatingExtracting(first: count)
            try read(source, at: offset, into: &part)
        }
    }

    private func read(_ source: VerifiedBlob, at offset: Int, into bytes: inout MutableRawSpan) throws {
        do { try source.read(at: offset, into: &bytes) } catch { throw cache.noteLoss(of: source.digest, error) }
    }

    /// Writes bytes piece by piece, as long as the unit is this worker's.
    private func write(
        _ bytes: RawSpan, to file: borrowing OpenedFile<SafetensorsError>, _ target: inout PlaceWriter
    ) throws {
        for start in stride(from: 0, to: bytes.byteCount, by: Self.pieceBytes) {
            let piece = bytes.extracting(start..<min(start + Self.pieceBytes, bytes.byteCount))
            try requireLease(&target)
            try target.append(piece, to: file)
        }
    }

    /// Ends the writing when the unit was revoked, or may have been while this process stood still.
    private func requireLease(_ target: inout PlaceWriter) throws {
        try progress.step()
        let now = ContinuousClock.now
        guard !Task.isCancelled, now - target.lastStep < Self.pauseMax else { throw Problem.revoked }
        target.lastStep = now
    }
}

/// Writes the bytes of one place in their order, with their checksum.
private struct PlaceWriter: ~Copyable {
    private let place: OutputPlace
    private var position = 0
    private var checksum = RunningChecksum()
    /// The last time that the unit was this worker's.
    var lastStep = ContinuousClock.now

    init(_ place: OutputPlace) { self.place = place }

    /// Checks that bytes as they are end within the file; squares were checked when the lease came.
    func requireRoom(_ byteCount: Int) throws {
        let end = place.offset.addingReportingOverflow(UInt64(byteCount))
        guard !end.overflow, end.partialValue <= place.file.byteCount else {
            throw OutputPlacement.Problem.unseen
        }
    }

    mutating func append(_ bytes: RawSpan, to file: borrowing OpenedFile<SafetensorsError>) throws {
        try file.write(bytes, at: Int(place.offset) + position)
        checksum.update(bytes)
        position += bytes.byteCount
    }

    /// Begins to write the place to the disk, and returns its checksum.
    consuming func end(_ file: borrowing OpenedFile<SafetensorsError>) -> Checksum {
        file.beginWriting(at: Int(place.offset), count: position)
        return checksum.value
    }
}
