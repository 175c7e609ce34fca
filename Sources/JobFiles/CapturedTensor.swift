public import LinearAlgebra
public import SystemPackage

/// A tensor of a capture as the concatenation of its parts in several files: `[rowCount, columnCount]`, or indices
/// `[rowCount]`.
public struct CapturedTensor: Equatable, Sendable {
    /// The part of one file.
    public struct Piece: Equatable, Sendable {
        /// Position in ``CaptureSet/files``.
        public let fileIndex: Int
        /// The file, for messages.
        public let file: FilePath
        /// First row of the part in the concatenation.
        public let firstRow: Int
        /// Rows of the part.
        public let rowCount: Int
        /// N of the layer or parameter in the file.
        public let sampleCount: Int
        /// M of the file.
        public let probeCount: Int
        /// First byte of the part, from the start of the file.
        public let fileOffset: Int
    }

    /// Consecutive rows that lie in one file.
    public struct FileRows: Equatable, Sendable {
        /// Position in ``CaptureSet/files``.
        public let fileIndex: Int
        /// The rows' numbers in that file's tensor.
        public let rows: Range<Int>
        /// The rows' bytes, from the start of the file.
        public let byteRange: Range<Int>
    }

    /// The tensor's name in every file.
    public let name: String
    /// d_in, d_out or d; 1 for indices.
    public let columnCount: Int
    /// F32, F16 or BF16, or I32 or I64 for indices; the same in every file.
    public let rowType: RowType
    /// The parts in the order of the files.
    public let pieces: [Piece]

    /// The type of the indices; nil for rows of numbers.
    public var indexType: IndexType? {
        guard case .indices(let type) = rowType else { return nil }
        return type
    }

    /// Rows of all parts.
    public var rowCount: Int { pieces.last.map { $0.firstRow + $0.rowCount } ?? 0 }

    /// The same rows, without the parts of files that have none.
    var withoutEmptyPieces: CapturedTensor {
        guard pieces.contains(where: { $0.rowCount == 0 }) else { return self }
        return CapturedTensor(
            name: name, columnCount: columnCount, rowType: rowType, pieces: pieces.filter { $0.rowCount > 0 })
    }

    /// Bytes of one row in the files.
    public var rowByteCount: Int { columnCount * rowType.byteCount }

    /// The file that holds a row of the concatenation, and the row's number in it; nil for a row that does not exist.
    public func location(ofRow row: Int) -> (file: FilePath, row: Int)? {
        guard let piece = pieces.first(where: { ($0.firstRow..<$0.firstRow + $0.rowCount).contains(row) }) else {
            return nil
        }
        return (piece.file, row - piece.firstRow)
    }

    /// The parts of a row range in each file, as a remote worker requests them.
    ///
    /// - Throws: ``JobFileError/rowsOutside(tensor:rows:rowCount:)``.
    public func fileRows(of rows: Range<Int>) throws(JobFileError) -> [FileRows] {
        guard rows.lowerBound >= 0, rows.upperBound <= rowCount else {
            throw .rowsOutside(tensor: name, rows: rows, rowCount: rowCount)
        }
        return pieces.compactMap { piece in
            let shared = rows.clamped(to: piece.firstRow..<piece.firstRow + piece.rowCount)
            guard !shared.isEmpty else { return nil }
            let local = shared.lowerBound - piece.firstRow..<shared.upperBound - piece.firstRow
            let start = piece.fileOffset + local.lowerBound * rowByteCount
            let byteRange = start..<start + local.count * rowByteCount
            return FileRows(fileIndex: piece.fileIndex, rows: local, byteRange: byteRange)
        }
    }
}
