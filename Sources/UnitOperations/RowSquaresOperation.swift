import LinearAlgebra

/// Captured joint rows → the mean of their squares by position: E‖a‖² or E‖g‖².
///
/// It reads and makes no blobs. It measures ``MeasurementName/positionSquares``. Its subject is the tensor.
///
/// Source: DESIGN section 2.2, joint form.
public struct RowSquaresOperation: UnitOperation {
    /// The rows, which are captured.
    public var rows: JointRows

    /// Describes the computation.
    public init(rows: JointRows) { self.rows = rows }

    // MARK: - Work

    /// The operation's name in leases and keys.
    public static var kind: String { "row_squares" }
    /// The stage that it belongs to.
    public static var stage: UnitStage { .jointRows }
    /// The slices of files that it reads.
    public var slices: [FileSlice] { rows.slices }
    /// Number of blobs that it reads.
    public var inputBlobCount: Int { 0 }
    /// Number of blobs that it makes.
    public var outputBlobCount: Int { 0 }

    /// The rows are read one after the other, at least one at a time.
    public var cost: UnitCost {
        UnitCost(
            multiplyAdds: Double(rows.count) * Double(rows.rowElements), inputBytes: rows.storedBytes, outputBytes: 0,
            memoryBytes: UnitCost.streamingBytes.saturatingSum(UInt64(rows.rowElements).saturatingProduct(16)))
    }

    /// 0: the operation streams, and each range counts as progress.
    public var stageSeconds: Double { 0 }

    // MARK: - Encoding

    /// Encodes every field.
    public func encode(_ files: inout FileNumbering) -> [UInt8] {
        var wire = WireRowSquaresOperation()
        wire.rows = rows.wire(&files)
        return encoded(wire)
    }

    /// Decodes the bytes that ``encode(_:)`` made.
    ///
    /// - Throws: ``OperationError``.
    public init(decoding bytes: [UInt8], files: FileNumbering) throws(OperationError) {
        let wire: WireRowSquaresOperation = try message(bytes)
        self.init(rows: try JointRows(wire.rows, files))
        guard case .captured = rows.source else { throw .malformed("squares are those of captured rows") }
    }
}
