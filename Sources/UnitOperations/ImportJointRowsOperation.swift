import LinearAlgebra

/// The joint rows of a finished factor set or of files of partial sums → a blob, and the mean squares beside them.
///
/// It reads no blobs. It makes one blob of F32, `[rank, positions, columns]`: the rows of all files one after the
/// other, each times the root of its share of the samples. It measures ``MeasurementName/positionSquares``, those of
/// the files weighed by these shares. It reads the ``MeasurementName/trace`` of the factor that the rows belong to,
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

    /// The rows of one file.
    public struct Part: Equatable, Sendable {
        /// The rows, F32.
        public var rows: FileSlice
        /// Number of rows.
        public var rank: Int
        /// The mean squares by position, F32.
        public var squares: FileSlice
        /// The share of the task's samples; with 1 the rows are copied as they are.
        public var share: Double

        /// Describes a part.
        public init(rows: FileSlice, rank: Int, squares: FileSlice, share: Double = 1) {
            self.rows = rows
            self.rank = rank
            self.squares = squares
            self.share = share
        }
    }

    /// What the rows are.
    public var content: Content
    /// The rows of each file, at least one.
    public var parts: [Part]
    /// Positions of a row; 1 for a parameter and for the constant.
    public var positions: Int
    /// Columns of a position, with the one of a bias.
    public var columns: Int
    /// The rows of a sample that were pooled into the positions; `nil` if each position is a row.
    public var pooledRows: Double?

    /// Describes an import.
    public init(content: Content, parts: [Part], positions: Int, columns: Int, pooledRows: Double? = nil) {
        self.content = content
        self.pooledRows = pooledRows
        self.parts = parts
        self.positions = positions
        self.columns = columns
    }

    /// Number of rows of all files.
    public var rank: Int { parts.reduce(0) { $0.saturatingSum($1.rank) } }
    /// Elements of the rows.
    public var elementCount: Int { elementCount(of: rank) }

    private func elementCount(of rank: Int) -> Int { rank.saturatingProduct(positions).saturatingProduct(columns) }

    // MARK: - Work

    /// The operation's name in leases and keys.
    public static var kind: String { "import_joint_rows" }
    /// The stage that it belongs to.
    public static var stage: UnitStage { .importFactor }
    /// The slices of files that it reads.
    public var slices: [FileSlice] { parts.flatMap { [$0.rows, $0.squares] } }
    /// Number of blobs that it reads.
    public var inputBlobCount: Int { 0 }
    /// Number of lists of numbers that it reads.
    public var inputNumberCount: Int { content == .constant ? 0 : 1 }
    /// Number of blobs that it makes.
    public var outputBlobCount: Int { content == .constant ? 0 : 1 }
    /// The cost of the unit.
    public var cost: UnitCost {
        .streaming(
            inputBytes: slices.reduce(0) { $0.saturatingSum($1.byteCount) },
            outputBytes: content == .constant ? 0 : UInt64(elementCount).saturatingProduct(4), rows: 8)
    }
    /// 0: the operation streams, and each range counts as progress.
    public var stageSeconds: Double { 0 }

    // MARK: - Encoding

    /// Encodes every field.
    public func encode(_ files: inout FileNumbering) -> [UInt8] {
        var wire = WireImportJointRowsOperation()
        wire.content = content.rawValue
        wire.positions = UInt32(positions)
        wire.columns = UInt32(columns)
        if let pooledRows { wire.pooledRows = pooledRows }
        wire.parts = parts.map { part in
            var wire = WireImportJointRowsOperation.Part()
            wire.rows = part.rows.wire(&files)
            wire.rank = UInt32(part.rank)
            wire.squares = part.squares.wire(&files)
            wire.share = part.share
            return wire
        }
        return encoded(wire)
    }

    /// Decodes the bytes that ``encode(_:)`` made.
    ///
    /// - Throws: ``OperationError``.
    public init(decoding bytes: [UInt8], files: FileNumbering) throws(OperationError) {
        let wire: WireImportJointRowsOperation = try message(bytes)
        self.init(
            content: try word(wire.content, "the content of joint rows"),
            parts: try list(wire.parts, "the list of parts") { part throws(OperationError) in
                Part(
                    rows: try FileSlice(part.rows, files),
                    rank: try count(part.rank, "the number of joint rows", most: JointRows.countMax),
                    squares: try FileSlice(part.squares, files), share: try divisor(part.share))
            },
            positions: try count(wire.positions, "the number of positions"),
            columns: try count(wire.columns, "the number of columns"),
            pooledRows: wire.hasPooledRows ? try divisor(wire.pooledRows) : nil)
        guard !parts.isEmpty, parts.allSatisfy({ $0.rank > 0 }), positions > 0, columns > 0,
            elementCount <= OperationLimits.elementsMax
        else { throw .malformed("\(rank) joint rows have \(positions) positions of \(columns) columns") }
        guard rank <= JointRows.countMax else {
            throw .malformed("there are \(rank) joint rows; expected 1 to \(JointRows.countMax)")
        }
        guard content != .constant || (positions == 1 && columns == 1) else {
            throw .malformed("a constant has \(positions) positions of \(columns) columns")
        }
        for part in parts {
            let elements = elementCount(of: part.rank)
            guard part.rows.byteCount == UInt64(4 * elements) else {
                throw .malformed("\(elements) elements of joint rows have \(part.rows.byteCount) bytes")
            }
            guard part.squares.byteCount == UInt64(4 * positions) else {
                throw .malformed("\(positions) squares of joint rows have \(part.squares.byteCount) bytes")
            }
        }
    }
}

extension ImportJointRowsOperation: PseudoRowsMaking {
    /// Positions of a row.
    public var rowPositions: Int { positions }
    /// Columns of a position.
    public var rowWidth: Int { columns }
}
