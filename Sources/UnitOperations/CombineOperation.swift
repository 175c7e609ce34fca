/// Partial sums → a factor.
///
/// It reads the partial sums, F64 packed, in the order of their rows, and makes one blob: the divided sum, F32 packed.
public struct CombineOperation: UnitOperation {
    /// Number of partial sums.
    public var partCount: Int
    /// The matrix's dimension.
    public var dimension: Int
    /// What the sum is divided by.
    public var divisor: Double

    /// Describes a sum of partial sums.
    public init(partCount: Int, dimension: Int, divisor: Double) {
        self.partCount = partCount
        self.dimension = dimension
        self.divisor = divisor
    }

    // MARK: - Work

    /// The operation's word in leases and keys.
    public static var kind: String { "combine_parts" }
    /// By what its durations are counted.
    public static var stage: UnitStage { .combine }
    /// The slices of files that it reads.
    public var slices: [FileSlice] { [] }
    /// Number of blobs that it reads.
    public var inputBlobCount: Int { partCount }
    /// Number of blobs that it makes.
    public var outputBlobCount: Int { 1 }

    /// What it takes.
    public var cost: UnitCost {
        .streaming(
            inputBytes: UInt64.packed(dimension).saturatingProduct(2 * UInt64(partCount)),
            outputBytes: .packed(dimension), rows: 5)
    }

    /// It streams, and counts every range.
    public var stageSeconds: Double { 0 }

    // MARK: - Encoding

    /// Writes every field down.
    public func encode(_ files: inout FileNumbering) -> [UInt8] {
        var wire = WireCombineOperation()
        wire.parts = UInt32(partCount)
        wire.dimension = UInt32(dimension)
        wire.divisor = divisor
        return encoded(wire)
    }

    /// Reads what ``encode(_:)`` wrote.
    ///
    /// - Throws: ``OperationError``.
    public init(decoding bytes: [UInt8], files: FileNumbering) throws(OperationError) {
        let wire: WireCombineOperation = try message(bytes)
        self.init(
            partCount: try count(wire.parts, "the number of parts", most: OperationLimits.listCountMax),
            dimension: try count(wire.dimension, "a dimension"), divisor: try UnitOperations.divisor(wire.divisor))
        guard partCount > 0 else { throw .malformed("a sum has no parts") }
    }
}
