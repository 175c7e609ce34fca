import KroneckerFactors
public import LinearAlgebra

/// Joint rows of one layer or parameter → its part of the weighted Gram matrix X Xᵀ of the rows.
///
/// It reads the rows' blobs, if they are those of tasks. It reads ``MeasurementName/weightSquares`` of the side, and
/// then ``MeasurementName/positionSquares`` of the layer's other side for each task; without such lists every position
/// has the constant's weight. It makes one packed triangle of F32.
///
/// Source: DESIGN section 2.2, joint form.
public struct RowGramOperation: UnitOperation {
    /// The rows.
    public var rows: JointRows
    /// Number of lists of squares, one for each task.
    public var weightListCount: Int
    /// Columns of all rows that are read at once.
    public var chunkColumns: Int

    /// Describes the computation.
    public init(rows: JointRows, weightListCount: Int, chunkColumns: Int? = nil) {
        self.rows = rows
        self.weightListCount = weightListCount
        self.chunkColumns = chunkColumns ?? rows.chunkColumns
    }

    // MARK: - Work

    /// The operation's name in leases and keys.
    public static var kind: String { "row_gram" }
    /// The stage that it belongs to.
    public static var stage: UnitStage { .jointRows }
    /// The slices of files that it reads.
    public var slices: [FileSlice] { rows.slices }
    /// Number of blobs that it reads.
    public var inputBlobCount: Int { rows.blobCount }
    /// Number of lists of numbers that it reads.
    public var inputNumberCount: Int { 1 + weightListCount }
    /// Number of blobs that it makes.
    public var outputBlobCount: Int { 1 }
    /// The triangle that it makes.
    public var shape: SymmetricShape { .full(rows.count) }

    /// Half the multiply-adds of a square product for each column.
    public var cost: UnitCost {
        UnitCost(
            multiplyAdds: multiplyAdds(columns: rows.rowElements), inputBytes: rows.storedBytes,
            outputBytes: shape.storedBytes,
            memoryBytes: rows.memoryBytes(chunkColumns: chunkColumns)
                .saturatingSum(RowGramSum.memoryBytes(rows: rows.count)).saturatingSum(shape.storedBytes))
    }

    /// Products of rows.
    public var kernel: UnitKernel { .matrixProduct }

    /// Seconds on a nominal core of one product, which reports no progress of its own.
    public var stageSeconds: Double { multiplyAdds(columns: JointRows.productColumns) / 1e11 }

    private func multiplyAdds(columns: Int) -> Double {
        Double(rows.count) * Double(rows.count) * Double(columns) / 2
    }

    // MARK: - Encoding

    /// Encodes every field.
    public func encode(_ files: inout FileNumbering) -> [UInt8] {
        var wire = WireRowGramOperation()
        wire.rows = rows.wire(&files)
        wire.weightLists = UInt32(weightListCount)
        wire.chunkColumns = UInt32(chunkColumns)
        return encoded(wire)
    }

    /// Decodes the bytes that ``encode(_:)`` made.
    ///
    /// - Throws: ``OperationError``.
    public init(decoding bytes: [UInt8], files: FileNumbering) throws(OperationError) {
        let wire: WireRowGramOperation = try message(bytes)
        let rows = try JointRows(wire.rows, files)
        self.init(
            rows: rows,
            weightListCount: try count(
                wire.weightLists, "the number of lists of squares", most: OperationLimits.listCountMax),
            chunkColumns: try jointChunkColumns(wire.chunkColumns, of: rows))
    }
}
