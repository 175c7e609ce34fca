import LinearAlgebra

/// The joint rows of a finished factor set → a blob, and the mean squares beside them.
///
/// It reads no blobs. It makes one blob of F32, `[rank, positions, columns]`, and measures
/// ``MeasurementName/positionSquares``. It reads the ``MeasurementName/trace`` of the factor that the rows belong to,
/// which they must agree with. For the constant it reads no numbers, makes no blob, and measures
/// ``MeasurementName/constantRows``.
///
/// Source: DESIGN sections 2.2, joint form, and 3.
public struct ImportJointRowsOperation: UnitOperation {
    /// What the rows are.
    public enum Content: String, Sendable, CaseIterable {
        /// Inputs of a layer, whose factor A is a mean over positions.
        case inputs
        /// Gradients of a layer or a parameter, whose factor B or F is a sum over positions.
        case gradients
        /// The constant, which has no factor.
        case constant
    }

    /// What the rows are.
    public var content: Content
    /// The rows, F32.
    public var rows: FileSlice
    /// Number of rows.
    public var rank: Int
    /// Positions of a row; 1 for a parameter and for the constant.
    public var positions: Int
    /// Columns of a position, with the one of a bias.
    public var columns: Int
    /// The mean squares by position, F32.
    public var squares: FileSlice
    /// The rows of a sample that were pooled into the positions; `nil` if each position is a row.
    public var pooledRows: Double?

    /// Describes an import.
    public init(
        content: Content, rows: FileSlice, rank: Int, positions: Int, columns: Int, squares: FileSlice,
        pooledRows: Double? = nil
    ) {
        self.content = content
        self.rows = rows
        self.rank = rank
        self.positions = positions
        self.columns = columns
        self.squares = squares
        self.pooledRows = pooledRows
    }

    /// Elements of the rows.
    public var elementCount: Int { rank.saturatingProduct(positions).saturatingProduct(columns) }

    // MARK: - Work

    /// The operation's name in leases and keys.
    public static var kind: String { "import_joint_rows" }
    /// The stage that it belongs to.
    public static var stage: UnitStage { .importFactor }
    /// The slices of files that it reads.
    public var slices: [FileSlice] { [rows, squares] }
    /// Number of blobs that it reads.
    public var inputBlobCount: Int { 0 }
    /// Number of lists of numbers that it reads.
    public var inputNumberCount: Int { content == .constant ? 0 : 1 }
    /// Number of blobs that it makes.
    public var outputBlobCount: Int { content == .constant ? 0 : 1 }
    /// The cost of the unit.
    public var cost: UnitCost {
        .streaming(
            inputBytes: rows.byteCount.saturatingSum(squares.byteCount),
            outputBytes: content == .constant ? 0 : rows.byteCount, rows: 8)
    }
    /// 0: the operation streams, and each range counts as progress.
    public var stageSeconds: Double { 0 }

    // MARK: - Encoding

    /// Encodes every field.
    public func encode(_ files: inout FileNumbering) -> [UInt8] {
        var wire = WireImportJointRowsOperation()
        wire.content = content.rawValue
        wire.rows = rows.wire(&files)
        wire.rank = UInt32(rank)
        wire.positions = UInt32(positions)
        wire.columns = UInt32(columns)
        wire.squares = squares.wire(&files)
        if let pooledRows { wire.pooledRows = pooledRows }
        return encoded(wire)
    }

    /// Decodes the bytes that ``encode(_:)`` made.
    ///
    /// - Throws: ``OperationError``.
    public init(decoding bytes: [UInt8], files: FileNumbering) throws(OperationError) {
        let wire: WireImportJointRowsOperation = try message(bytes)
        self.init(
            content: try word(wire.content, "the content of joint rows"), rows: try FileSlice(wire.rows, files),
            rank: try count(wire.rank, "the number of joint rows", most: JointRows.countMax),
            positions: try count(wire.positions, "the number of positions"),
            columns: try count(wire.columns, "the number of columns"), squares: try FileSlice(wire.squares, files),
            pooledRows: wire.hasPooledRows ? wire.pooledRows : nil)
        if let pooledRows, !(pooledRows.isFinite && pooledRows > 0) {
            throw .malformed("\(pooledRows) rows of a sample were pooled")
        }
        guard rank > 0, positions > 0, columns > 0, elementCount <= OperationLimits.elementsMax else {
            throw .malformed("\(rank) joint rows have \(positions) positions of \(columns) columns")
        }
        guard content != .constant || (positions == 1 && columns == 1) else {
            throw .malformed("a constant has \(positions) positions of \(columns) columns")
        }
        guard rows.byteCount == UInt64(4 * elementCount) else {
            throw .malformed("\(elementCount) elements of joint rows have \(rows.byteCount) bytes")
        }
        guard squares.byteCount == UInt64(4 * positions) else {
            throw .malformed("\(positions) squares of joint rows have \(squares.byteCount) bytes")
        }
    }
}

extension ImportJointRowsOperation: PseudoRowsMaking {
    /// Positions of a row.
    public var rowPositions: Int { positions }
    /// Columns of a position.
    public var rowWidth: Int { columns }
}
