import LinearAlgebra

/// The blocks' parts of a task vector's X → Σ X_sr² over the sum of all parts, as a share of each part.
///
/// It reads the parts in the order of their sum, as F64, `[gradient rank, input rank]`. It makes no blobs. It measures
/// ``MeasurementName/penalties``: Σ_sr X_sr X_sr,ℓ of each part ℓ. A share may be negative; their sum is not.
///
/// Source: DESIGN section 2.2, joint form.
public struct JointPenaltyOperation: UnitOperation {
    /// Number of parts.
    public var partCount: Int
    /// Number of input rows.
    public var inputRank: Int
    /// Number of gradient rows.
    public var gradientRank: Int

    /// Describes the computation.
    public init(partCount: Int, inputRank: Int, gradientRank: Int) {
        self.partCount = partCount
        self.inputRank = inputRank
        self.gradientRank = gradientRank
    }

    /// Bytes of a part.
    public var partBytes: UInt64 { UInt64(inputRank).saturatingProduct(UInt64(gradientRank)).saturatingProduct(8) }

    // MARK: - Work

    /// The operation's name in leases and keys.
    public static var kind: String { "joint_penalty" }
    /// The stage that it belongs to.
    public static var stage: UnitStage { .penalty }
    /// The slices of files that it reads.
    public var slices: [FileSlice] { [] }
    /// Number of blobs that it reads.
    public var inputBlobCount: Int { partCount }
    /// Number of blobs that it makes.
    public var outputBlobCount: Int { 0 }

    /// It reads the parts twice: for their sum, and for its product with each.
    public var cost: UnitCost {
        UnitCost(
            multiplyAdds: Double(partBytes) / 4 * Double(partCount),
            inputBytes: partBytes.saturatingProduct(UInt64(partCount)).saturatingProduct(2), outputBytes: 0,
            memoryBytes: partBytes.saturatingProduct(2).saturatingSum(UnitCost.streamingBytes))
    }

    /// 0: a few passes over a part, and each counts as progress.
    public var stageSeconds: Double { 0 }

    // MARK: - Encoding

    /// Encodes every field.
    public func encode(_ files: inout FileNumbering) -> [UInt8] {
        var wire = WireJointPenaltyOperation()
        wire.parts = UInt32(partCount)
        wire.inputRank = UInt32(inputRank)
        wire.gradientRank = UInt32(gradientRank)
        return encoded(wire)
    }

    /// Decodes the bytes that ``encode(_:)`` made.
    ///
    /// - Throws: ``OperationError``.
    public init(decoding bytes: [UInt8], files: FileNumbering) throws(OperationError) {
        let wire: WireJointPenaltyOperation = try message(bytes)
        self.init(
            partCount: try count(wire.parts, "the number of parts", most: OperationLimits.listCountMax),
            inputRank: try count(wire.inputRank, "the number of input rows", most: JointRows.countMax),
            gradientRank: try count(wire.gradientRank, "the number of gradient rows", most: JointRows.countMax))
        guard partCount > 0, inputRank > 0, gradientRank > 0 else {
            throw .malformed("a joint penalty is of \(partCount) parts of \(gradientRank) and \(inputRank) rows")
        }
    }
}
