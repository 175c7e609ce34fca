import LinearAlgebra

/// Joint rows of one layer or parameter, and eigenvectors Q → the combinations Qᵀ X: the pseudo-rows.
///
/// It reads Q as F32, `[k, n]`, and then the rows' blobs, if they are those of tasks. It makes one blob of F32,
/// `[k, positions, width]`.
///
/// Source: DESIGN section 2.2, joint form.
public struct RowCombinationOperation: UnitOperation {
    /// The rows.
    public var rows: JointRows
    /// Number of combinations, k.
    public var rank: Int
    /// Columns of all rows that are read at once.
    public var chunkColumns: Int

    /// Describes the computation.
    public init(rows: JointRows, rank: Int, chunkColumns: Int? = nil) {
        self.rows = rows
        self.rank = rank
        self.chunkColumns = chunkColumns ?? rows.chunkColumns
    }

    // MARK: - Work

    /// The operation's name in leases and keys.
    public static var kind: String { "row_combination" }
    /// The stage that it belongs to.
    public static var stage: UnitStage { .jointRows }
    /// The slices of files that it reads.
    public var slices: [FileSlice] { rows.slices }
    /// Number of blobs that it reads.
    public var inputBlobCount: Int { 1 + rows.blobCount }
    /// Number of blobs that it makes.
    public var outputBlobCount: Int { 1 }

    /// Bytes of the pseudo-rows.
    public var outputBytes: UInt64 {
        UInt64(rank).saturatingProduct(UInt64(rows.positions)).saturatingProduct(UInt64(rows.width))
            .saturatingProduct(4)
    }

    /// The pseudo-rows are in memory until they are whole.
    public var cost: UnitCost {
        let chunk = UInt64(rank).saturatingProduct(UInt64(chunkColumns)).saturatingProduct(4)
        let vectors = UInt64(rank).saturatingProduct(UInt64(rows.count)).saturatingProduct(4)
        return UnitCost(
            multiplyAdds: multiplyAdds(columns: rows.rowElements), inputBytes: rows.storedBytes,
            outputBytes: outputBytes,
            memoryBytes: rows.memoryBytes(chunkColumns: chunkColumns).saturatingSum(chunk).saturatingSum(vectors)
                .saturatingSum(outputBytes))
    }

    /// Products of rows.
    public var kernel: UnitKernel { .matrixProduct }

    /// Seconds on a nominal core of one chunk's product, which reports no progress of its own.
    public var stageSeconds: Double { multiplyAdds(columns: chunkColumns) / 1e11 }

    private func multiplyAdds(columns: Int) -> Double {
        Double(rank) * Double(rows.count) * Double(columns)
    }

    // MARK: - Encoding

    /// Encodes every field.
    public func encode(_ files: inout FileNumbering) -> [UInt8] {
        var wire = WireRowCombinationOperation()
        wire.rows = rows.wire(&files)
        wire.rank = UInt32(rank)
        wire.chunkColumns = UInt32(chunkColumns)
        return encoded(wire)
    }

    /// Decodes the bytes that ``encode(_:)`` made.
    ///
    /// - Throws: ``OperationError``.
    public init(decoding bytes: [UInt8], files: FileNumbering) throws(OperationError) {
        let wire: WireRowCombinationOperation = try message(bytes)
        let rows = try JointRows(wire.rows, files)
        self.init(
            rows: rows, rank: try count(wire.rank, "the number of combinations", most: JointRows.countMax),
            chunkColumns: try jointChunkColumns(wire.chunkColumns, of: rows))
        guard rank > 0, rank <= rows.count else {
            throw .malformed("\(rank) combinations of \(rows.count) joint rows")
        }
    }
}

extension RowCombinationOperation: PseudoRowsMaking {
    /// Positions of a row.
    public var rowPositions: Int { rows.positions }
    /// Columns of a position.
    public var rowWidth: Int { rows.width }
}
