/// Rows of the full square of a packed fp32 triangle that need not be in memory: it is read in pieces.
///
/// A row of the square holds its own packed row, and then its column of every later row. So a band of rows takes one
/// read for each of its rows and one for each later row. Larger bands need fewer reads.
public struct SquareBand: ~Copyable {
    /// Rows and columns of the square.
    public let dimension: Int
    /// The most rows of a band.
    public let rowsMax: Int
    private var rows: Matrix<Float>
    /// The band's columns of some later rows.
    private var columns: Matrix<Float>

    /// The number of later rows whose columns are mirrored at a time.
    ///
    /// Their lines stay in the first-level cache.
    private static let laterRows = 32

    /// Reserves memory for bands.
    ///
    /// - Parameters:
    ///   - dimension: Rows and columns of the square.
    ///   - byteCountMax: The most bytes of a band. A band has at least one row.
    /// - Throws: ``LinearAlgebraError``.
    public init(dimension: Int, byteCountMax: Int) throws(LinearAlgebraError) {
        let rowsMax = max(1, min(dimension, byteCountMax / (4 * max(1, dimension))))
        let rows = try Matrix<Float>(rows: rowsMax, columns: dimension)
        let columns = try Matrix<Float>(rows: Self.laterRows, columns: rowsMax)
        self.dimension = dimension
        self.rowsMax = rowsMax
        self.rows = rows
        self.columns = columns
    }

    /// Fills a band.
    ///
    /// - Parameters:
    ///   - band: At most ``rowsMax`` rows.
    ///   - read: Fills a buffer with the packed elements from an index on. See ``PackedTriangle``.
    /// - Throws: What `read` throws.
    public mutating func fill<Failure: Error>(
        _ band: Range<Int>,
        read: (_ firstElement: Int, _ destination: inout MutableRawSpan) throws(Failure) -> Void
    ) throws(Failure) {
        precondition(band.lowerBound >= 0 && band.upperBound <= dimension && band.count <= rowsMax, "rows \(band)")
        for row in band {
            let start = (row - band.lowerBound) * dimension
            try rows.withMutableBytes { (bytes: inout MutableRawSpan) throws(Failure) in
                var target = bytes._mutatingExtracting(4 * start..<4 * (start + row + 1))
                try read(PackedTriangle.offset(ofRow: row), &target)
            }
        }
        mirrorWithin(band)
        for first in stride(from: band.upperBound, to: dimension, by: Self.laterRows) {
            let later = first..<min(dimension, first + Self.laterRows)
            for row in later {
                let start = (row - first) * rowsMax
                try columns.withMutableBytes { (bytes: inout MutableRawSpan) throws(Failure) in
                    var target = bytes._mutatingExtracting(4 * start..<4 * (start + band.count))
                    try read(PackedTriangle.offset(ofRow: row) + band.lowerBound, &target)
                }
            }
            mirror(band, later)
        }
    }

    /// Lends the bytes of the band that was filled last.
    ///
    /// - Throws: What `body` throws.
    public borrowing func withBytes<Failure: Error>(
        of band: Range<Int>, _ body: (RawSpan) throws(Failure) -> Void
    ) throws(Failure) {
        try rows.withBytes { (bytes: RawSpan) throws(Failure) in
            try body(bytes.extracting(first: 4 * band.count * dimension))
        }
    }

    private mutating func mirrorWithin(_ band: Range<Int>) {
        let base = unsafe rows.storage.base
        for row in band {
            let source = unsafe base + (row - band.lowerBound) * dimension
            for column in band.lowerBound..<row {
                unsafe base[(column - band.lowerBound) * dimension + row] = source[column]
            }
        }
    }

    private mutating func mirror(_ band: Range<Int>, _ later: Range<Int>) {
        let (target, source) = unsafe (rows.storage.base, columns.storage.base)
        for row in 0..<band.count {
            let line = unsafe target + row * dimension + later.lowerBound
            for position in 0..<later.count { unsafe line[position] = source[position * rowsMax + row] }
        }
    }
}
