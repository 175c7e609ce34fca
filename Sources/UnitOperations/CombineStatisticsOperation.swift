import LinearAlgebra
import TaskArithmetic

/// Statistics of parts of a model → those of all parts together.
///
/// It reads a list of numbers for each part, in the plan's order, and makes one list. It reads and makes no blobs.
///
/// Source: DESIGN section 2.5.
public struct CombineStatisticsOperation: UnitOperation {
    /// The name of the merge method.
    public var method: String
    /// The round of the statistics, from 0 on.
    public var round: Int
    /// Number of parts.
    public var partCount: Int

    /// Describes the combination.
    public init(method: String, round: Int, partCount: Int) {
        self.method = method
        self.round = round
        self.partCount = partCount
    }

    // MARK: - Work

    /// The operation's name in leases and keys.
    public static var kind: String { "combine_statistics" }
    /// The stage that its durations count for.
    public static var stage: UnitStage { .merge }
    /// The slices of files that it reads.
    public var slices: [FileSlice] { [] }
    /// Number of blobs that it reads.
    public var inputBlobCount: Int { 0 }
    /// Number of lists of numbers that it reads.
    public var inputNumberCount: Int { partCount }
    /// Number of blobs that it makes.
    public var outputBlobCount: Int { 0 }

    /// The cost of the unit.
    public var cost: UnitCost {
        .streaming(
            inputBytes: UInt64(partCount).saturatingProduct(8 * UInt64(ModelStatisticsLimits.numbers)), outputBytes: 0)
    }

    /// 0: some thousand additions.
    public var stageSeconds: Double { 0 }

    // MARK: - Encoding

    /// Encodes every field.
    public func encode(_ files: inout FileNumbering) -> [UInt8] {
        var wire = WireCombineStatisticsOperation()
        wire.method = method
        wire.round = UInt32(round)
        wire.parts = UInt32(partCount)
        return encoded(wire)
    }

    /// Decodes the bytes that ``encode(_:)`` made.
    ///
    /// - Throws: ``OperationError``.
    public init(decoding bytes: [UInt8], files: FileNumbering) throws(OperationError) {
        let wire: WireCombineStatisticsOperation = try message(bytes)
        self.init(
            method: wire.method, round: try count(wire.round, "a round", most: OperationLimits.listCountMax),
            partCount: try count(wire.parts, "the number of parts", most: OperationLimits.listCountMax))
        guard partCount > 0 else { throw .malformed("a combination of statistics has no parts") }
    }
}
