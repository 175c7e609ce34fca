import KroneckerFactors
public import LinearAlgebra

/// The Gram matrices of all layers and parameters of a side → the leading eigenvectors Q of their sum.
///
/// It reads the packed triangles in the order of the sum. If the side has the constant, it reads
/// ``MeasurementName/weightSquares`` of the side, and then ``MeasurementName/constantRows`` of each part. It makes Q as
/// F32, `[k, n]`. It measures ``MeasurementName/keptShare``, ``MeasurementName/relativeError`` and, with the constant,
/// ``MeasurementName/constantRows``.
///
/// Source: DESIGN section 2.2, joint form.
public struct JointEigenvectorsOperation: UnitOperation {
    /// The last element of each row, which the one-dimensional parameters meet.
    public enum Constant: Equatable, Sendable {
        /// The same number in every row.
        case equal(Double)
        /// Those of tasks' joint rows.
        case parts([JointRows.Part])
    }

    /// Number of rows, n.
    public var rows: Int
    /// Number of eigenvectors, k.
    public var rank: Int
    /// Number of triangles.
    public var gramCount: Int
    /// The constant; `nil` for gradients, and for inputs without one-dimensional parameters.
    public var constant: Constant?

    /// Describes the computation.
    public init(rows: Int, rank: Int, gramCount: Int, constant: Constant?) {
        self.rows = rows
        self.rank = rank
        self.gramCount = gramCount
        self.constant = constant
    }

    // MARK: - Work

    /// The operation's name in leases and keys.
    public static var kind: String { "joint_eigenvectors" }
    /// The stage that it belongs to.
    public static var stage: UnitStage { .jointRows }
    /// The slices of files that it reads.
    public var slices: [FileSlice] { [] }
    /// Number of blobs that it reads.
    public var inputBlobCount: Int { gramCount }
    /// Number of lists of numbers that it reads.
    public var inputNumberCount: Int {
        switch constant {
        case nil: 0
        case .equal: 1
        case .parts(let parts): 1 + parts.count
        }
    }
    /// Number of blobs that it makes.
    public var outputBlobCount: Int { 1 }
    /// The triangles that it reads.
    public var shape: SymmetricShape { .full(rows) }

    /// A whole eigendecomposition.
    public var cost: UnitCost {
        UnitCost(
            multiplyAdds: multiplyAdds, inputBytes: shape.storedBytes.saturatingProduct(UInt64(gramCount)),
            outputBytes: UInt64(rank).saturatingProduct(UInt64(rows)).saturatingProduct(4),
            memoryBytes: JointEigenvectors.memoryBytes(rows: rows, rank: rank).saturatingSum(shape.storedBytes)
                .saturatingSum(UnitCost.streamingBytes))
    }

    /// Most of it is LAPACK's.
    public var kernel: UnitKernel { .matrixProduct }

    /// Seconds on a nominal core of the decomposition, which reports no progress.
    public var stageSeconds: Double { UnitCost.stageSeconds(ofMultiplyAdds: multiplyAdds) }

    private var multiplyAdds: Double { 9 * Double(rows) * Double(rows) * Double(rows) }

    // MARK: - Encoding

    /// Encodes every field.
    public func encode(_ files: inout FileNumbering) -> [UInt8] {
        var wire = WireJointEigenvectorsOperation()
        wire.rows = UInt32(rows)
        wire.rank = UInt32(rank)
        wire.grams = UInt32(gramCount)
        switch constant {
        case nil: break
        case .equal(let value): wire.equal = value
        case .parts(let parts): wire.parts.parts = parts.map(\.wire)
        }
        return encoded(wire)
    }

    /// Decodes the bytes that ``encode(_:)`` made.
    ///
    /// - Throws: ``OperationError``.
    public init(decoding bytes: [UInt8], files: FileNumbering) throws(OperationError) {
        let wire: WireJointEigenvectorsOperation = try message(bytes)
        self.init(
            rows: try count(wire.rows, "the number of joint rows", most: JointRows.countMax),
            rank: try count(wire.rank, "the number of eigenvectors", most: JointRows.countMax),
            gramCount: try count(wire.grams, "the number of triangles", most: OperationLimits.listCountMax),
            constant: try Self.constant(wire.constant))
        guard rank > 0, rank <= rows, gramCount > 0 || constant != nil else {
            throw .malformed("\(rank) eigenvectors of \(gramCount) triangles of \(rows) joint rows")
        }
        guard case .parts(let parts) = constant else { return }
        let found = parts.reduce(0) { $0.saturatingSum($1.rows) }
        guard found == rows else { throw .malformed("\(found) constants stand in \(rows) joint rows") }
    }

    private static func constant(
        _ wire: WireJointEigenvectorsOperation.OneOf_Constant?
    ) throws(OperationError) -> Constant? {
        switch wire {
        case nil: nil
        case .equal(let value):
            .equal(try UnitOperations.divisor(value))
        case .parts(let constants): .parts(try jointRowParts(constants.parts))
        }
    }
}
