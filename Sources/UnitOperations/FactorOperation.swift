import Identifiers
public import KroneckerFactors
public import LinearAlgebra

/// Rows → a Kronecker factor or one of its partial sums: `rowsᵀ · rows` or its diagonal, in chunks with fixed borders.
///
/// It reads no blobs. It makes one: the factor, F32, or the partial sum, F64. On request it multiplies rows in fp64,
/// and makes a second blob: the factor, F64. Its subject is the tensor that the rows come from.
///
/// Source: DESIGN section 2.1 and 2.6.
public struct FactorOperation: UnitOperation {
    /// Number of columns of the rows.
    public var columns: Int
    /// Whether a column of ones is appended for the bias.
    public var appendsOnes: Bool
    /// The rows' element type.
    public var elementType: ElementType
    /// The places of the rows, in order.
    public var rowSlices: [RowSlice]
    /// Rows of one chunk: whole samples when positions are reduced.
    public var chunkRows: Int
    /// The reduction of the rows of one sample, if all samples have equally many.
    public var reduction: PositionReduction
    /// The reduction of the rows of one sample by the rows' sample numbers; `nil` if the rows have none.
    public var sampleReduction: SampleReduction?
    /// The divisor of the sum; `nil` for a partial sum, which stays fp64 and undivided.
    public var divisor: Double?
    /// Whether only the factor's diagonal is made.
    public var isDiagonal: Bool
    /// Whether rows are multiplied in fp64, and the factor is also given as F64.
    public var givesDouble = false

    /// Describes a factor's computation.
    public init(
        columns: Int, appendsOnes: Bool, elementType: ElementType, rowSlices: [RowSlice], chunkRows: Int,
        reduction: PositionReduction, sampleReduction: SampleReduction? = nil, divisor: Double?,
        isDiagonal: Bool = false
    ) {
        self.columns = columns
        self.appendsOnes = appendsOnes
        self.elementType = elementType
        self.rowSlices = rowSlices
        self.chunkRows = chunkRows
        self.reduction = reduction
        self.sampleReduction = sampleReduction
        self.divisor = divisor
        self.isDiagonal = isDiagonal
    }

    /// The factor's shape.
    public var shape: SymmetricShape {
        SymmetricShape(dimension: columns + (appendsOnes ? 1 : 0), isDiagonal: isDiagonal)
    }
    /// Number of rows.
    public var rows: Int { rowSlices.reduce(0) { $0 + $1.rows } }
    /// Whether several rows of a sample are summed: B under `reduce`.
    public var sumsRows: Bool {
        if case .sum(let positions) = reduction, positions > 1 { return true }
        return sampleReduction.map { !$0.isMean } ?? false
    }
    /// Bytes of a row.
    public var rowBytes: Int { columns * elementType.byteCount }

    // MARK: - Work

    /// The operation's name in leases and keys.
    public static var kind: String { "factor" }
    /// The stage that it belongs to.
    public static var stage: UnitStage { .factor }
    /// The slices of files that it reads.
    public var slices: [FileSlice] { rowSlices.map(\.slice) + (sampleReduction?.numbers.map(\.slice) ?? []) }
    /// Number of blobs that it reads.
    public var inputBlobCount: Int { 0 }
    /// Number of blobs that it makes.
    public var outputBlobCount: Int { 1 + doubleBlobCount }
    /// The last blob, if the factor is also given as F64; a partial sum is F64 anyway.
    public var doubleBlobCount: Int { givesDouble && divisor != nil ? 1 : 0 }

    /// d² multiply-adds for each row, or for each sample that becomes one row; d for a diagonal.
    ///
    /// Those in fp64 count double.
    public var cost: UnitCost {
        let memory = MemoryEstimate.accumulation(
            of: shape, chunkRows: chunkRows, elementType: elementType, reducesPositions: reduction != .none,
            inDouble: givesDouble)
        return UnitCost(
            multiplyAdds: shape.productMultiplyAdds * Double(reducedRows) * (multipliesInDouble ? 2 : 1),
            inputBytes: UInt64(rows).saturatingProduct(UInt64(columns))
                .saturatingProduct(UInt64(elementType.byteCount)),
            outputBytes: divisor == nil
                ? shape.storedBytes.saturatingProduct(2) : shape.givenBytes(givesDouble: givesDouble),
            memoryBytes: UInt64(clamping: memory).saturatingSum(sampleBytes).saturatingSum(UnitCost.streamingBytes))
    }

    /// Products of the chunks, each with d columns; sums for a diagonal.
    public var kernel: UnitKernel {
        guard !isDiagonal else { return .elementSum }
        let chunks = rows / chunkRows + (rows.isMultiple(of: chunkRows) ? 0 : 1)
        return .symmetricProduct(columns: columns, chunks: chunks, isBFloat16: elementType == .bf16 && !givesDouble)
    }

    /// Squares of a diagonal are fp64 anyway.
    private var multipliesInDouble: Bool { givesDouble && !isDiagonal }

    /// The most rows that enter the product.
    private var reducedRows: Int {
        guard let sampleReduction else { return rows / reduction.positions }
        let blocks = zip(rowSlices, sampleReduction.numbers).map { slice, numbers in
            UInt64(slice.rows / max(1, numbers.rows)).saturatingProduct(UInt64(numbers.samples))
        }
        return min(rows, Int(clamping: blocks.reduce(UInt64(0)) { $0.saturatingSum($1) }))
    }

    /// A second chunk of reduced rows, the numbers of a chunk, and the sum of one sample.
    private var sampleBytes: UInt64 {
        guard sampleReduction != nil else { return 0 }
        let rows = UInt64(min(chunkRows, self.rows))
        return rows.saturatingProduct(UInt64(rowBytesReduced)).saturatingSum(rows.saturatingProduct(24))
            .saturatingSum(UInt64(columns).saturatingProduct(8))
    }

    private var rowBytesReduced: Int { columns * (multipliesInDouble ? ElementType.f64 : .f32).byteCount }

    /// Seconds on a nominal core of the costliest stage that reports no progress of its own.
    public var stageSeconds: Double {
        shape.productMultiplyAdds * Double(min(chunkRows, rows)) * (multipliesInDouble ? 2 : 1) / 1e11
    }

    // MARK: - Encoding

    /// Encodes every field.
    public func encode(_ files: inout FileNumbering) -> [UInt8] {
        var wire = WireFactorOperation()
        wire.columns = UInt32(columns)
        wire.appendsOnes = appendsOnes
        wire.elementType = elementType.rawValue
        wire.slices = rowSlices.map { $0.wire(&files) }
        wire.chunkRows = UInt32(chunkRows)
        (wire.reduction, wire.positions) = reduction.wire
        if let divisor { wire.divisor = divisor }
        wire.isDiagonal = isDiagonal
        wire.givesDouble = givesDouble
        if let sampleReduction {
            wire.sampleNumbers = sampleReduction.numbers.map { $0.wire(&files) }
            wire.averagesSamples = sampleReduction.isMean
        }
        return encoded(wire)
    }

    /// Decodes the bytes that ``encode(_:)`` made.
    ///
    /// - Throws: ``OperationError``.
    public init(decoding bytes: [UInt8], files: FileNumbering) throws(OperationError) {
        let wire: WireFactorOperation = try message(bytes)
        self.init(
            columns: try count(wire.columns, "the number of columns"), appendsOnes: wire.appendsOnes,
            elementType: try word(wire.elementType, "an element type"),
            rowSlices: try list(wire.slices, "the list of slices") { slice throws(OperationError) in
                try RowSlice(slice, files)
            },
            chunkRows: try count(wire.chunkRows, "the rows of a chunk"),
            reduction: try PositionReduction(wire.reduction, positions: wire.positions),
            sampleReduction: try Self.sampleReduction(wire, files),
            divisor: wire.hasDivisor ? try UnitOperations.divisor(wire.divisor) : nil, isDiagonal: wire.isDiagonal)
        givesDouble = wire.givesDouble
        try checkShape()
    }

    private static func sampleReduction(
        _ wire: WireFactorOperation, _ files: FileNumbering
    ) throws(OperationError) -> SampleReduction? {
        guard !wire.sampleNumbers.isEmpty else {
            guard !wire.averagesSamples else { throw .malformed("a mean over samples has no sample numbers") }
            return nil
        }
        return SampleReduction(
            isMean: wire.averagesSamples,
            numbers: try list(wire.sampleNumbers, "the list of sample numbers") { numbers throws(OperationError) in
                try SampleNumbers(numbers, files)
            })
    }

    private func checkShape() throws(OperationError) {
        guard columns > 0, chunkRows > 0 else { throw .malformed("a factor has no rows or columns") }
        for slice in rowSlices {
            let (bytes, overflow) = UInt64(rowBytes).multipliedReportingOverflow(by: UInt64(slice.rows))
            guard !overflow, bytes == slice.slice.byteCount else {
                throw .malformed("a slice of \(slice.rows) rows has \(slice.slice.byteCount) bytes")
            }
        }
        guard let numbers = sampleReduction?.numbers else { return }
        guard reduction == .none, numbers.count == rowSlices.count else {
            throw .malformed("\(rowSlices.count) slices of rows have \(numbers.count) lists of sample numbers")
        }
        for (slice, numbers) in zip(rowSlices, numbers) where !slice.rows.isMultiple(of: numbers.rows) {
            throw .malformed("a slice of \(slice.rows) rows has \(numbers.rows) sample numbers")
        }
    }
}

extension SymmetricShape {
    /// Multiply-adds of a row's outer product, or of its squares.
    package var productMultiplyAdds: Double {
        let dimension = Double(dimension)
        return isDiagonal ? dimension : dimension * dimension
    }
}

extension PositionReduction {
    fileprivate init(_ word: String, positions: UInt32) throws(OperationError) {
        let positions = try count(positions, "the number of positions")
        switch word {
        case "none": self = .none
        case "mean" where positions > 0: self = .mean(positions: positions)
        case "sum" where positions > 0: self = .sum(positions: positions)
        default: throw .malformed("the reduction is \"\(word.excerpt)\" over \(positions) positions")
        }
    }

    fileprivate var wire: (String, UInt32) {
        switch self {
        case .none: ("none", 1)
        case .mean(let positions): ("mean", UInt32(positions))
        case .sum(let positions): ("sum", UInt32(positions))
        }
    }
}
