public import LinearAlgebra

/// The joint rows of a layer's inputs or output gradients, or of a parameter's gradients.
///
/// A row has all positions of one sample, or of one sample and probe. Rows of all layers with the same number belong to
/// one vector. Source: DESIGN section 2.2, joint form.
public struct JointRows: Equatable, Sendable {
    /// Where rows come from.
    public enum Source: Equatable, Sendable {
        /// Captured rows of positions, divided by the root of a number: N, or N M.
        case captured(ElementType, [RowSlice], divisor: Double)
        /// The joint rows of tasks, one after the other, in blobs of F32.
        case parts([Part])
    }

    /// The joint rows of one task.
    public struct Part: Equatable, Sendable {
        /// Number of rows.
        public var rows: Int
        /// What the rows are multiplied by.
        public var scale: Double

        /// Describes a part.
        public init(rows: Int, scale: Double) {
            self.rows = rows
            self.scale = scale
        }
    }

    /// The most rows of a side: their Gram matrix is decomposed whole.
    public static let countMax = 8192
    /// The most columns whose product is one fp32 sum.
    public static let productColumns = 4096
    /// The most elements that are read at once.
    private static let chunkElements = 64 << 20

    /// Stored columns of a position.
    public var columns: Int
    /// Positions of a row; 1 for a parameter.
    public var positions: Int
    /// Whether a one for the bias follows the stored columns of each position.
    public var appendsOnes: Bool
    /// Where the rows come from.
    public var source: Source

    /// Describes joint rows.
    public init(columns: Int, positions: Int, appendsOnes: Bool, source: Source) {
        self.columns = columns
        self.positions = positions
        self.appendsOnes = appendsOnes
        self.source = source
    }

    /// Number of rows.
    public var count: Int {
        switch source {
        case .captured(_, let slices, _): slices.reduce(0) { $0.saturatingSum($1.rows) } / max(1, positions)
        case .parts(let parts): parts.reduce(0) { $0.saturatingSum($1.rows) }
        }
    }

    /// Stored elements of a row.
    public var rowElements: Int { columns.saturatingProduct(positions) }
    /// Columns of a position with the one of a bias.
    public var width: Int { columns.saturatingSum(appendsOnes ? 1 : 0) }

    /// Columns of all rows that are read at once: as many as memory is meant to hold, in whole products.
    public var chunkColumns: Int {
        let most = Self.chunkElements / max(1, count)
        guard rowElements > most else { return max(1, rowElements) }
        return max(1, most / Self.productColumns * Self.productColumns)
    }

    /// The slices of captured rows.
    var slices: [FileSlice] {
        guard case .captured(_, let slices, _) = source else { return [] }
        return slices.map(\.slice)
    }

    /// Number of blobs.
    var blobCount: Int {
        guard case .parts(let parts) = source else { return 0 }
        return parts.count
    }

    /// Bytes of the rows as they are stored.
    var storedBytes: UInt64 {
        let elements = UInt64(count).saturatingProduct(UInt64(rowElements))
        guard case .captured(let type, _, _) = source else { return elements.saturatingProduct(4) }
        return elements.saturatingProduct(UInt64(type.byteCount))
    }

    /// Bytes of a chunk of all rows, and of what is read for it.
    func memoryBytes(chunkColumns: Int) -> UInt64 {
        UInt64(count).saturatingSum(1).saturatingProduct(UInt64(chunkColumns)).saturatingProduct(4)
            .saturatingSum(UnitCost.streamingBytes)
    }

    // MARK: - Encoding

    init(_ wire: WireJointRows, _ files: FileNumbering) throws(OperationError) {
        let source: Source
        if wire.parts.isEmpty {
            let slices = try list(wire.slices, "the list of slices") { slice throws(OperationError) in
                try RowSlice(slice, files)
            }
            source = .captured(
                try word(wire.elementType, "an element type"), slices,
                divisor: try UnitOperations.divisor(wire.divisor))
        } else {
            guard wire.slices.isEmpty, wire.elementType.isEmpty, wire.divisor == 0, !wire.appendsOnes else {
                throw .malformed("joint rows are captured, and those of tasks")
            }
            source = .parts(try jointRowParts(wire.parts))
        }
        self.init(
            columns: try UnitOperations.count(wire.columns, "the number of columns"),
            positions: try UnitOperations.count(wire.positions, "the number of positions"),
            appendsOnes: wire.appendsOnes, source: source)
        try checkShape()
    }

    private func checkShape() throws(OperationError) {
        guard columns > 0, positions > 0, rowElements <= OperationLimits.dimensionMax else {
            throw .malformed("joint rows have \(positions) positions of \(columns) columns")
        }
        guard (1...Self.countMax).contains(count) else {
            throw .malformed("there are \(count) joint rows; expected 1 to \(Self.countMax)")
        }
        guard case .captured(let type, let slices, _) = source else { return }
        for slice in slices {
            guard slice.rows.isMultiple(of: positions) else {
                throw .malformed("a slice of \(slice.rows) rows has samples of \(positions) positions")
            }
            let bytes = UInt64(slice.rows).saturatingProduct(UInt64(columns.saturatingProduct(type.byteCount)))
            guard bytes == slice.slice.byteCount else {
                throw .malformed("a slice of \(slice.rows) rows has \(slice.slice.byteCount) bytes")
            }
        }
    }

    func wire(_ files: inout FileNumbering) -> WireJointRows {
        var wire = WireJointRows()
        wire.columns = UInt32(columns)
        wire.positions = UInt32(positions)
        wire.appendsOnes = appendsOnes
        switch source {
        case .captured(let type, let slices, let divisor):
            wire.elementType = type.rawValue
            wire.slices = slices.map { $0.wire(&files) }
            wire.divisor = divisor
        case .parts(let parts): wire.parts = parts.map(\.wire)
        }
        return wire
    }
}

extension JointRows.Part {
    /// The part as it travels.
    var wire: WireJointRowPart {
        var wire = WireJointRowPart()
        wire.rows = UInt32(rows)
        wire.scale = scale
        return wire
    }
}

/// Decodes the parts of joint rows, none of which is empty.
func jointRowParts(_ parts: [WireJointRowPart]) throws(OperationError) -> [JointRows.Part] {
    try list(parts, "the list of parts") { part throws(OperationError) in
        guard part.rows > 0, part.scale.isFinite, part.scale >= 0 else {
            throw .malformed("a part of joint rows has \(part.rows) rows times \(part.scale)")
        }
        return JointRows.Part(
            rows: try count(part.rows, "the rows of a part", most: JointRows.countMax), scale: part.scale)
    }
}

/// Decodes the columns that are read at once: whole products, so that no chunk's border changes a sum.
func jointChunkColumns(_ value: UInt32, of rows: JointRows) throws(OperationError) -> Int {
    let columns = try count(value, "the columns of a chunk")
    guard columns > 0, columns <= rows.rowElements,
        columns == rows.rowElements || columns.isMultiple(of: JointRows.productColumns)
    else { throw .malformed("a chunk of joint rows has \(columns) of \(rows.rowElements) columns") }
    return columns
}
