public import LinearAlgebra

/// Rows that are indices → the factor A of an embedding: the diagonal of their counts.
///
/// It reads no blobs. It makes one: the diagonal, F32. On request it makes a second one, F64. Its subject is the tensor
/// that the indices come from.
///
/// Source: DESIGN section 2.1.
public struct IndexFactorOperation: UnitOperation {
    /// V, the number of rows of the embedding: every index is below it.
    public var indexCount: Int
    /// Whether a one is appended to each row for the bias.
    public var appendsOnes: Bool
    /// The indices' type.
    public var indexType: IndexType
    /// The places of the indices, in order.
    public var rowSlices: [RowSlice]
    /// Indices that are read together.
    public var chunkRows: Int
    /// Rows of each sample, if rows are averaged and all samples have equally many.
    public var averagedPositions: Int?
    /// The sample numbers of each slice, if rows are averaged by them.
    public var sampleNumbers: [SampleNumbers]
    /// The divisor of the sum.
    public var divisor: Double
    /// Whether the factor is also given as F64.
    public var givesDouble = false

    /// Describes a factor's computation.
    public init(
        indexCount: Int, appendsOnes: Bool, indexType: IndexType, rowSlices: [RowSlice], chunkRows: Int,
        averagedPositions: Int? = nil, sampleNumbers: [SampleNumbers] = [], divisor: Double
    ) {
        self.indexCount = indexCount
        self.appendsOnes = appendsOnes
        self.indexType = indexType
        self.rowSlices = rowSlices
        self.chunkRows = chunkRows
        self.averagedPositions = averagedPositions
        self.sampleNumbers = sampleNumbers
        self.divisor = divisor
    }

    /// The factor's shape.
    public var shape: SymmetricShape { .diagonal(indexCount + (appendsOnes ? 1 : 0)) }
    /// Number of rows.
    public var rows: Int { rowSlices.reduce(0) { $0 + $1.rows } }
    /// Whether the rows of each sample are averaged.
    public var averagesSamples: Bool { averagedPositions != nil || !sampleNumbers.isEmpty }

    // MARK: - Work

    /// The operation's name in leases and keys.
    public static var kind: String { "index_factor" }
    /// The stage that it belongs to.
    public static var stage: UnitStage { .factor }
    /// The slices of files that it reads.
    public var slices: [FileSlice] { rowSlices.map(\.slice) + sampleNumbers.map(\.slice) }
    /// Number of blobs that it reads.
    public var inputBlobCount: Int { 0 }
    /// Number of blobs that it makes.
    public var outputBlobCount: Int { 1 + doubleBlobCount }
    /// The last blob, if the factor is also given as F64.
    public var doubleBlobCount: Int { givesDouble ? 1 : 0 }

    /// One addition for each row; memory for the sums, the factor, a chunk, and the counts of one sample.
    public var cost: UnitCost {
        let rows = UInt64(self.rows)
        let chunk = UInt64(min(chunkRows, self.rows)).saturatingProduct(24)
        let sample = averagesSamples ? min(rows, UInt64(indexCount)).saturatingProduct(48) : 0
        return UnitCost(
            multiplyAdds: Double(self.rows), inputBytes: rows.saturatingProduct(UInt64(indexType.byteCount)),
            outputBytes: shape.givenBytes(givesDouble: givesDouble),
            memoryBytes: shape.storedBytes.saturatingProduct(3).saturatingSum(chunk).saturatingSum(sample)
                .saturatingSum(UnitCost.streamingBytes))
    }

    /// 0: each chunk counts as progress.
    public var stageSeconds: Double { 0 }

    // MARK: - Encoding

    /// Encodes every field.
    public func encode(_ files: inout FileNumbering) -> [UInt8] {
        var wire = WireIndexFactorOperation()
        wire.indexCount = UInt32(indexCount)
        wire.appendsOnes = appendsOnes
        wire.isWide = indexType == .i64
        wire.slices = rowSlices.map { $0.wire(&files) }
        wire.chunkRows = UInt32(chunkRows)
        wire.positions = UInt32(averagedPositions ?? 0)
        wire.sampleNumbers = sampleNumbers.map { $0.wire(&files) }
        wire.divisor = divisor
        wire.givesDouble = givesDouble
        return encoded(wire)
    }

    /// Decodes the bytes that ``encode(_:)`` made.
    ///
    /// - Throws: ``OperationError``.
    public init(decoding bytes: [UInt8], files: FileNumbering) throws(OperationError) {
        let wire: WireIndexFactorOperation = try message(bytes)
        let positions = try count(wire.positions, "the number of positions")
        self.init(
            indexCount: try count(wire.indexCount, "the number of indices", most: OperationLimits.dimensionMax - 1),
            appendsOnes: wire.appendsOnes, indexType: wire.isWide ? .i64 : .i32,
            rowSlices: try list(wire.slices, "the list of slices") { slice throws(OperationError) in
                try RowSlice(slice, files)
            },
            chunkRows: try count(wire.chunkRows, "the rows of a chunk"),
            averagedPositions: positions > 0 ? positions : nil,
            sampleNumbers: try list(wire.sampleNumbers, "the list of sample numbers") {
                numbers throws(OperationError) in
                try SampleNumbers(numbers, files)
            },
            divisor: try UnitOperations.divisor(wire.divisor))
        givesDouble = wire.givesDouble
        try checkShape()
    }

    private func checkShape() throws(OperationError) {
        guard indexCount > 0, chunkRows > 0 else { throw .malformed("a factor has no rows or indices") }
        for slice in rowSlices {
            let bytes = UInt64(slice.rows).saturatingProduct(UInt64(indexType.byteCount))
            guard bytes == slice.slice.byteCount else {
                throw .malformed("a slice of \(slice.rows) indices has \(slice.slice.byteCount) bytes")
            }
        }
        guard sampleNumbers.isEmpty || (sampleNumbers.count == rowSlices.count && averagedPositions == nil) else {
            throw .malformed("\(rowSlices.count) slices of rows have \(sampleNumbers.count) lists of sample numbers")
        }
        for (slice, numbers) in zip(rowSlices, sampleNumbers) where slice.rows != numbers.rows {
            throw .malformed("a slice of \(slice.rows) rows has \(numbers.rows) sample numbers")
        }
    }
}
