public import Identifiers
public import KroneckerFactors
public import LinearAlgebra

/// A factor of all tasks → its sums over tasks for every target, and the factors' inner products.
///
/// It reads the factor of each task, in the job's order. It makes one blob for each target. All are packed F32.
///
/// Source: DESIGN section 2.2 (paper eq. 8).
public struct AccumulateOperation: UnitOperation {
    /// The side of the matrix, which decides the coefficients.
    public var side: FactorSide
    /// The matrix's shape.
    public var shape: SymmetricShape
    /// The weights w_t that λ_t follows from, in the order of the factors.
    public var weights: [Double]
    /// The sums to form, in the order of the unit's blobs.
    ///
    /// An element is the position of the factor that the sum leaves out; `nil` leaves out none.
    public var exclusions: [Int?]
    /// Whether B is a sum or a mean over tasks.
    public var scale: RegularizerScale

    /// Describes a sum over tasks.
    public init(
        side: FactorSide, shape: SymmetricShape, weights: [Double], exclusions: [Int?], scale: RegularizerScale
    ) {
        self.side = side
        self.shape = shape
        self.weights = weights
        self.exclusions = exclusions
        self.scale = scale
    }

    // MARK: - Work

    /// The operation's name in leases and keys.
    public static var kind: String { "accumulate" }
    /// The stage that it belongs to.
    public static var stage: UnitStage { .accumulate }
    /// The slices of files that it reads.
    public var slices: [FileSlice] { [] }
    /// Number of blobs that it reads.
    public var inputBlobCount: Int { weights.count }
    /// Number of blobs that it makes.
    public var outputBlobCount: Int { exclusions.count }

    /// The cost of the unit.
    public var cost: UnitCost {
        .streaming(
            inputBytes: shape.storedBytes.saturatingProduct(UInt64(weights.count)),
            outputBytes: shape.storedBytes.saturatingProduct(UInt64(exclusions.count)),
            rows: weights.count + 1)
    }

    /// 0: the operation streams, and each range counts as progress.
    public var stageSeconds: Double { 0 }

    // MARK: - Encoding

    /// Encodes every field.
    public func encode(_ files: inout FileNumbering) -> [UInt8] {
        var wire = WireAccumulateOperation()
        wire.side = side.rawValue
        wire.dimension = UInt32(shape.dimension)
        wire.isDiagonal = shape.isDiagonal
        wire.weights = weights
        wire.exclusions = exclusions.map { WireExclusion($0) }
        wire.scale = scale.rawValue
        return encoded(wire)
    }

    /// Decodes the bytes that ``encode(_:)`` made.
    ///
    /// - Throws: ``OperationError``.
    public init(decoding bytes: [UInt8], files: FileNumbering) throws(OperationError) {
        let wire: WireAccumulateOperation = try message(bytes)
        self.init(
            side: try word(wire.side, "a side"), shape: try symmetricShape(wire.dimension, isDiagonal: wire.isDiagonal),
            weights: try taskWeights(wire.weights),
            exclusions: try UnitOperations.exclusions(wire.exclusions, taskCount: wire.weights.count),
            scale: try word(wire.scale, "a scale"))
    }
}
