public import Identifiers
public import KroneckerFactors

/// A factor of all tasks → its sums over tasks for every target, and the factors' inner products.
///
/// It reads every task's factor, F32 packed, in the job's order, and makes a blob a target, F32 packed.
///
/// Source: DESIGN section 2.2 (paper eq. 8).
public struct AccumulateOperation: UnitOperation {
    /// Which side the matrix is: it decides the coefficients.
    public var side: FactorSide
    /// The matrix's dimension.
    public var dimension: Int
    /// w_t of λ_t, in the order of the factors.
    public var weights: [Double]
    /// The sums to form, in the order of the unit's blobs: each without one of the factors, by position, or with all.
    public var exclusions: [Int?]
    /// Whether B is a sum or a mean over tasks.
    public var scale: RegularizerScale

    /// Describes a sum over tasks.
    public init(
        side: FactorSide, dimension: Int, weights: [Double], exclusions: [Int?], scale: RegularizerScale
    ) {
        self.side = side
        self.dimension = dimension
        self.weights = weights
        self.exclusions = exclusions
        self.scale = scale
    }

    // MARK: - Work

    /// The operation's word in leases and keys.
    public static var kind: String { "accumulate" }
    /// By what its durations are counted.
    public static var stage: UnitStage { .accumulate }
    /// The slices of files that it reads.
    public var slices: [FileSlice] { [] }
    /// Number of blobs that it reads.
    public var inputBlobCount: Int { weights.count }
    /// Number of blobs that it makes.
    public var outputBlobCount: Int { exclusions.count }

    /// What it takes.
    public var cost: UnitCost {
        .streaming(
            inputBytes: UInt64.packed(dimension).saturatingProduct(UInt64(weights.count)),
            outputBytes: UInt64.packed(dimension).saturatingProduct(UInt64(exclusions.count)),
            rows: weights.count + 1)
    }

    /// It streams, and counts every range.
    public var stageSeconds: Double { 0 }

    // MARK: - Encoding

    /// Writes every field down.
    public func encode(_ files: inout FileNumbering) -> [UInt8] {
        var wire = WireAccumulateOperation()
        wire.side = side.rawValue
        wire.dimension = UInt32(dimension)
        wire.weights = weights
        wire.exclusions = exclusions.map { WireExclusion($0) }
        wire.scale = scale.rawValue
        return encoded(wire)
    }

    /// Reads what ``encode(_:)`` wrote.
    ///
    /// - Throws: ``OperationError``.
    public init(decoding bytes: [UInt8], files: FileNumbering) throws(OperationError) {
        let wire: WireAccumulateOperation = try message(bytes)
        self.init(
            side: try word(wire.side, "a side"), dimension: try count(wire.dimension, "a dimension"),
            weights: try taskWeights(wire.weights),
            exclusions: try UnitOperations.exclusions(wire.exclusions, taskCount: wire.weights.count),
            scale: try word(wire.scale, "a scale"))
    }
}
