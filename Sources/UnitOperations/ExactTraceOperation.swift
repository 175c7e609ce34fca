import KroneckerFactors
public import LinearAlgebra

/// A layer's rows → the exact trace of its Gauss-Newton block: the mean of ‖Σ_p g_p ã_pᵀ‖² over samples and probes.
///
/// It reads and makes no blobs. It measures ``MeasurementName/exactTrace``. Its subject is the layer, as the captures
/// name it.
///
/// Source: DESIGN section 2.1.
public struct ExactTraceOperation: UnitOperation {
    /// The captured rows of a layer's inputs, or of its output gradients.
    public struct Rows: Equatable, Sendable {
        /// Columns of a row; 1 for indices.
        public var columns: Int
        /// The type of numbers, or of indices.
        public var type: RowType
        /// The places of the rows, in order.
        public var slices: [RowSlice]

        /// Describes rows.
        public init(columns: Int, type: RowType, slices: [RowSlice]) {
            self.columns = columns
            self.type = type
            self.slices = slices
        }

        /// Bytes of a row.
        public var rowBytes: Int { columns.saturatingProduct(type.byteCount) }
        /// Number of rows.
        public var count: Int { slices.reduce(0) { $0.saturatingSum($1.rows) } }
    }

    /// What tells where a sample ends; every sample ends with its slice and with its probe.
    public enum Borders: Equatable, Sendable {
        /// Every sample has equally many rows.
        case positions(Int)
        /// The sample numbers of each slice of the input.
        case numbers([SampleNumbers])
    }

    /// The input rows, without the ones of a bias.
    public var inputs: Rows
    /// Whether a one is appended to each input row for the bias.
    public var appendsOnes: Bool
    /// The gradients: for each slice of the input one with its rows for every probe, one probe after the other.
    public var gradients: Rows
    /// Rows of gradients for each input row.
    public var probes: Int
    /// The borders of samples.
    public var borders: Borders
    /// The most input rows that are read at once.
    public var chunkRows: Int
    /// The divisor of the sum.
    public var divisor: Double

    /// Describes the computation of an exact trace.
    public init(
        inputs: Rows, appendsOnes: Bool, gradients: Rows, probes: Int, borders: Borders, chunkRows: Int,
        divisor: Double
    ) {
        self.inputs = inputs
        self.appendsOnes = appendsOnes
        self.gradients = gradients
        self.probes = probes
        self.borders = borders
        self.chunkRows = chunkRows
        self.divisor = divisor
    }

    /// Columns of an input row with the one of a bias.
    public var inputWidth: Int { inputs.columns.saturatingSum(appendsOnes ? 1 : 0) }

    // MARK: - Work

    /// The operation's name in leases and keys.
    public static var kind: String { "exact_trace" }
    /// The stage that it belongs to.
    public static var stage: UnitStage { .balance }
    /// The slices of files that it reads.
    public var slices: [FileSlice] {
        let rows = (inputs.slices + gradients.slices).map(\.slice)
        guard case .numbers(let numbers) = borders else { return rows }
        return rows + numbers.map(\.slice)
    }
    /// Number of blobs that it reads.
    public var inputBlobCount: Int { 0 }
    /// Number of blobs that it makes.
    public var outputBlobCount: Int { 0 }

    /// The most rows of a sample, and the mean.
    private var sampleRows: (most: Int, mean: Int) {
        switch borders {
        case .positions(let positions): return (positions, positions)
        case .numbers(let numbers):
            let samples = numbers.reduce(0) { $0.saturatingSum($1.samples) }
            return (inputs.slices.map(\.rows).max() ?? 1, max(1, inputs.count / max(1, samples)))
        }
    }

    /// Multiply-adds for each row of gradients.
    private var multiplyAddsOfRow: Double {
        guard case .numbers = inputs.type else { return Double(gradients.columns) }
        let rows = sampleRows.mean
        return SampleGradientNorms.multiplyAdds(
            rows: rows, inputWidth: inputWidth, gradientColumns: gradients.columns) / Double(rows)
    }

    /// The cheaper of the Gram matrices and the product for each sample; the inputs are read for each probe.
    public var cost: UnitCost {
        let memory =
            switch inputs.type {
            case .numbers:
                SampleGradientNorms.memoryBytes(
                    sampleRows: sampleRows.most, capacity: chunkRows, inputWidth: inputWidth,
                    gradientColumns: gradients.columns)
            case .indices:
                IndexedGradientNorms.memoryBytes(
                    sampleRows: sampleRows.most, capacity: chunkRows, gradientColumns: gradients.columns)
            }
        let raw = UInt64(max(inputs.rowBytes, gradients.rowBytes)).saturatingProduct(UInt64(chunkRows))
        func bytes(_ rows: Rows, times: Int = 1) -> UInt64 {
            UInt64(rows.rowBytes).saturatingProduct(UInt64(rows.count)).saturatingProduct(UInt64(times))
        }
        return UnitCost(
            multiplyAdds: multiplyAddsOfRow * Double(gradients.count),
            inputBytes: bytes(inputs, times: probes).saturatingSum(bytes(gradients)), outputBytes: 0,
            memoryBytes: memory.saturatingSum(raw).saturatingSum(UnitCost.streamingBytes))
    }

    /// Products of rows.
    public var kernel: UnitKernel { .matrixProduct }

    /// Seconds on a nominal core of the costliest stage that reports no progress of its own.
    public var stageSeconds: Double { multiplyAddsOfRow * Double(chunkRows) / 1e11 }

    // MARK: - Encoding

    /// Encodes every field.
    public func encode(_ files: inout FileNumbering) -> [UInt8] {
        var wire = WireExactTraceOperation()
        wire.inputColumns = UInt32(inputs.columns)
        wire.appendsOnes = appendsOnes
        wire.inputType = inputs.type.name
        wire.inputs = inputs.slices.map { $0.wire(&files) }
        wire.gradientColumns = UInt32(gradients.columns)
        wire.gradientType = gradients.type.name
        wire.gradients = gradients.slices.map { $0.wire(&files) }
        wire.probes = UInt32(probes)
        switch borders {
        case .positions(let positions): wire.positions = UInt32(positions)
        case .numbers(let numbers): wire.sampleNumbers = numbers.map { $0.wire(&files) }
        }
        wire.chunkRows = UInt32(chunkRows)
        wire.divisor = divisor
        return encoded(wire)
    }

    /// Decodes the bytes that ``encode(_:)`` made.
    ///
    /// - Throws: ``OperationError``.
    public init(decoding bytes: [UInt8], files: FileNumbering) throws(OperationError) {
        let wire: WireExactTraceOperation = try message(bytes)
        self.init(
            inputs: Rows(
                columns: try count(wire.inputColumns, "the number of columns", most: OperationLimits.dimensionMax - 1),
                type: try Self.rowType(wire.inputType),
                slices: try list(wire.inputs, "the list of slices") { slice throws(OperationError) in
                    try RowSlice(slice, files)
                }),
            appendsOnes: wire.appendsOnes,
            gradients: Rows(
                columns: try count(wire.gradientColumns, "the number of columns"),
                type: .numbers(try word(wire.gradientType, "an element type")),
                slices: try list(wire.gradients, "the list of slices") { slice throws(OperationError) in
                    try RowSlice(slice, files)
                }),
            probes: try count(wire.probes, "the number of probes"), borders: try Self.borders(wire, files),
            chunkRows: try count(wire.chunkRows, "the rows of a chunk"),
            divisor: try UnitOperations.divisor(wire.divisor))
        try checkShape()
    }

    private static func rowType(_ text: String) throws(OperationError) -> RowType {
        if let type = IndexType(rawValue: text) { return .indices(type) }
        return .numbers(try word(text, "an element type"))
    }

    private static func borders(
        _ wire: WireExactTraceOperation, _ files: FileNumbering
    ) throws(OperationError) -> Borders {
        let positions = try count(wire.positions, "the number of positions")
        guard wire.sampleNumbers.isEmpty else {
            guard positions == 0 else { throw .malformed("samples have \(positions) positions and numbers") }
            return .numbers(
                try list(wire.sampleNumbers, "the list of sample numbers") { numbers throws(OperationError) in
                    try SampleNumbers(numbers, files)
                })
        }
        guard positions > 0 else { throw .malformed("samples have neither positions nor numbers") }
        return .positions(positions)
    }

    private func checkShape() throws(OperationError) {
        guard inputs.columns > 0, gradients.columns > 0, probes > 0, chunkRows > 0 else {
            throw .malformed("an exact trace has no rows, columns or probes")
        }
        if case .indices = inputs.type, inputs.columns != 1 {
            throw .malformed("indices have \(inputs.columns) columns")
        }
        guard inputs.slices.count == gradients.slices.count else {
            throw .malformed(
                "\(inputs.slices.count) slices of inputs have \(gradients.slices.count) slices of gradients")
        }
        for rows in [inputs, gradients] {
            for slice in rows.slices {
                let bytes = UInt64(rows.rowBytes).saturatingProduct(UInt64(slice.rows))
                guard bytes == slice.slice.byteCount else {
                    throw .malformed("a slice of \(slice.rows) rows has \(slice.slice.byteCount) bytes")
                }
            }
        }
        for (input, gradient) in zip(inputs.slices, gradients.slices)
        where input.rows.saturatingProduct(probes) != gradient.rows {
            throw .malformed("\(input.rows) rows of inputs have \(gradient.rows) of gradients for \(probes) probes")
        }
        guard case .numbers(let numbers) = borders else { return }
        guard numbers.count == inputs.slices.count else {
            throw .malformed("\(inputs.slices.count) slices of rows have \(numbers.count) lists of sample numbers")
        }
        for (slice, numbers) in zip(inputs.slices, numbers) where slice.rows != numbers.rows {
            throw .malformed("a slice of \(slice.rows) rows has \(numbers.rows) sample numbers")
        }
    }
}
