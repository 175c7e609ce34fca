/// A range of bytes of an input file.
public struct FileSlice: Hashable, Sendable, Codable {
    /// Position among the job's input files.
    public var file: Int
    /// First byte, from the file's start.
    public var offset: UInt64
    /// Number of bytes.
    public var byteCount: UInt64

    /// Describes a range of bytes.
    public init(file: Int, offset: UInt64, byteCount: UInt64) {
        self.file = file
        self.offset = offset
        self.byteCount = byteCount
    }
}

/// Rows of a capture tensor, as they lie in one file.
public struct RowSlice: Hashable, Sendable, Codable {
    /// The rows' bytes.
    public var slice: FileSlice
    /// Number of rows.
    public var rows: Int
    /// The position of the first row in the file's own tensor.
    public var firstRow: Int

    /// Describes rows of a file.
    public init(slice: FileSlice, rows: Int, firstRow: Int = 0) {
        self.slice = slice
        self.rows = rows
        self.firstRow = firstRow
    }
}

extension [RowSlice] {
    /// The slices of a range of rows, cut at the range's ends and at the files' borders.
    ///
    /// - Parameters:
    ///   - range: Rows of the concatenation.
    ///   - rowBytes: Bytes of a row.
    /// - Returns: The slices that hold them, in order.
    public func cut(to range: Range<Int>, rowBytes: Int) -> [RowSlice] {
        let rowBytes = UInt64(rowBytes)
        var cut: [RowSlice] = []
        var first = 0
        for slice in self {
            let overlap = range.clamped(to: first..<first + slice.rows)
            if !overlap.isEmpty {
                let bytes = FileSlice(
                    file: slice.slice.file, offset: slice.slice.offset + UInt64(overlap.lowerBound - first) * rowBytes,
                    byteCount: UInt64(overlap.count) * rowBytes)
                cut.append(
                    RowSlice(
                        slice: bytes, rows: overlap.count, firstRow: slice.firstRow + overlap.lowerBound - first))
            }
            first += slice.rows
        }
        return cut
    }
}
