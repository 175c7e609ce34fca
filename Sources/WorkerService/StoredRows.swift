import LinearAlgebra
import UnitOperations

/// The rows of a factor in a file: of a square, or of a packed triangle.
struct StoredRows {
    /// Bytes of rows that are read at a time, so that a file over the network does not need a request for each row.
    private static let pieceBytes = 4 << 20

    let dimension: Int
    let elementType: ElementType
    let isPacked: Bool

    /// The elements before a row; for the row after the last, all elements.
    func offset(ofRow row: Int) -> Int { isPacked ? PackedTriangle.offset(ofRow: row) : row * dimension }

    /// The row and the column of an element.
    func place(of element: Int) -> (row: Int, column: Int) {
        let row = isPacked ? PackedTriangle.row(containing: element) : element / dimension
        return (row, element - offset(ofRow: row))
    }

    /// The most elements of a piece.
    var pieceElements: Int { max(dimension, Self.pieceBytes / elementType.byteCount) }

    /// The rows that are read together, from a row on: as many as a piece holds, and at least one.
    func piece(from first: Int) -> Range<Int> {
        var end = first + 1
        let most = Self.pieceBytes / elementType.byteCount
        while end < dimension, offset(ofRow: end + 1) - offset(ofRow: first) <= most { end += 1 }
        return first..<end
    }

    /// The part of the factor's slice that holds some rows.
    func slice(_ rows: Range<Int>, of whole: FileSlice) -> FileSlice {
        let (start, end) = (offset(ofRow: rows.lowerBound), offset(ofRow: rows.upperBound))
        return FileSlice(
            file: whole.file, offset: whole.offset + UInt64(start * elementType.byteCount),
            byteCount: UInt64((end - start) * elementType.byteCount))
    }

    /// All pieces, in order.
    var pieces: some Sequence<Range<Int>> {
        sequence(state: 0) { first -> Range<Int>? in
            guard first < dimension else { return nil }
            let piece = piece(from: first)
            first = piece.upperBound
            return piece
        }
    }
}
