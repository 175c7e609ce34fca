import LinearAlgebra

/// The joint rows of a finished factor set → a blob, and the mean squares beside them.
///
/// It reads no blobs. It makes one blob of F32, `[rank, positions, columns]`, and measures
/// ``MeasurementName/positionSquares``. For the constant it makes no blob, and measures
/// ``MeasurementName/constantRows``.
///
/// Source: DESIGN sections 2.2, joint form, and 3.
public struct ImportJointRowsOperation: UnitOperation {
    /// The rows, F32; `nil` for the constant.
    public var rows: FileSlice?
    /// Number of rows.
    public var rank: Int
    /// Positions of a row; 1 for a parameter and for the constant.
    public var positions: Int
    /// Columns of a position, with the one of a bias.
    public var columns: Int
    /// The squares by position, F32; of the constant its rows.
    public var numbers: FileSlice

    /// Describes an import.
    public init(rows: FileSlice?, rank: Int, positions: Int, columns: Int, numbers: FileSlice) {
        self.rows = rows
        self.rank = rank
        self.positions = positions
        self.columns = columns
        self.numbers = numbers
    }

    /// Elements of the rows.
    public var elementCount: Int { rank.saturatingProduct(positions).saturatingProduct(columns) }

    // MARK: - Work

    /// The operation's name in leases and keys.
    public static var kind: String { "import_joint_rows" }
    /// The stage that it belongs to.
    public static var stage: UnitStage { .importFactor }
    /// The slices of files that it reads.
    public var slices: [FileSlice] { (rows.map { [$0] } ?? []) + [numbers] }
    /// Number of blobs that it reads.
    public var inputBlobCount: Int { 0 }
    /// Number of blobs that it makes.
    public var outputBlobCount: Int { rows == nil ? 0 : 1 }
    /// The cost of the unit.
    public var cost: UnitCost {
        let bytes = rows?.byteCount ?? 0
        return .streaming(inputBytes: bytes.saturatingSum(numbers.byteCount), outputBytes: bytes, rows: 8)
    }
    /// 0: the operation streams, and each range counts as progress.
    public var stageSeconds: Double { 0 }

    // MARK: - Encoding

    /// Encodes every field.
    public func encode(_ files: inout FileNumbering) -> [UInt8] {
        var wire = WireImportJointRowsOperation()
        if let rows { wire.rows = rows.wire(&files) }
        wire.rank = UInt32(rank)
        wire.positions = UInt32(positions)
        wire.columns = UInt32(columns)
        wire.numbers = numbers.wire(&files)
        return encoded(wire)
    }

    /// Decodes the bytes that ``encode(_:)`` made.
    ///
    /// - Throws: ``OperationError``.
    public init(decoding bytes: [UInt8], files: FileNumbering) throws(OperationError) {
        let wire: WireImportJointRowsOperation = try message(bytes)
        self.init(
            rows: wire.hasRows ? try FileSlice(wire.rows, files) : nil,
            rank: try count(wire.rank, "the number of joint rows", most: JointRows.countMax),
            positions: try count(wire.positions, "the number of positions"),
            columns: try count(wire.columns, "the number of columns"), numbers: try FileSlice(wire.numbers, files))
        guard rank > 0, positions > 0, columns > 0, elementCount <= OperationLimits.elementsMax else {
            throw .malformed("\(rank) joint rows have \(positions) positions of \(columns) columns")
        }
        if let rows, rows.byteCount != UInt64(4 * elementCount) {
            throw .malformed("\(elementCount) elements of joint rows have \(rows.byteCount) bytes")
        }
        let expected = rows == nil ? rank : positions
        guard numbers.byteCount == UInt64(4 * expected) else {
            throw .malformed("\(expected) numbers of joint rows have \(numbers.byteCount) bytes")
        }
    }
}

extension ImportJointRowsOperation: PseudoRowsMaking {
    /// Positions of a row.
    public var rowPositions: Int { positions }
    /// Columns of a position.
    public var rowWidth: Int { columns }
}
