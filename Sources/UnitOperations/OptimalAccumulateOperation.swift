public import Identifiers
public import KroneckerFactors
public import LinearAlgebra

/// A layer's sums over tasks in the form `optimal`, for both sides.
///
/// The coefficients of each side follow from both sides, so one unit computes both.
///
/// It reads A of each task in the job's order, then B of each task, all packed F32. It also reads two lists of numbers:
/// ⟨A_s, A_t⟩ over tasks, row by row, then ⟨B_s, B_t⟩. Its blobs are ordered by side, A first, then by target, then by
/// Kronecker product.
///
/// Source: DESIGN section 2.2.
public struct OptimalAccumulateOperation: UnitOperation {
    /// The shape of A.
    public var inputShape: SymmetricShape
    /// The shape of B.
    public var gradientShape: SymmetricShape
    /// The weights w_t that λ_t follows from, in the job's order.
    public var weights: [Double]
    /// The number of Kronecker products of each target.
    public var rank: Int
    /// The targets.
    ///
    /// An element is the position of the task that the target leaves out; `nil` leaves out none.
    public var exclusions: [Int?]
    /// Whether the result is scaled as a sum or a mean over tasks.
    public var scale: RegularizerScale

    /// Describes a layer's optimal sums.
    public init(
        inputShape: SymmetricShape, gradientShape: SymmetricShape, weights: [Double], rank: Int, exclusions: [Int?],
        scale: RegularizerScale
    ) {
        self.inputShape = inputShape
        self.gradientShape = gradientShape
        self.weights = weights
        self.rank = rank
        self.exclusions = exclusions
        self.scale = scale
    }

    /// The position of a matrix among the unit's blobs.
    ///
    /// - Parameters:
    ///   - side: A or B.
    ///   - target: Position among the targets.
    ///   - term: Position of the Kronecker product.
    /// - Returns: The blob's position.
    public func position(of side: FactorSide, target: Int, term: Int) -> Int {
        ((side == .gradient ? exclusions.count : 0) + target) * rank + term
    }

    // MARK: - Work

    /// The operation's name in leases and keys.
    public static var kind: String { "accumulate_optimally" }
    /// The stage that it belongs to.
    public static var stage: UnitStage { .accumulateOptimally }
    /// The slices of files that it reads.
    public var slices: [FileSlice] { [] }
    /// Number of blobs that it reads.
    public var inputBlobCount: Int { 2 * weights.count }
    /// Number of lists of numbers that it reads.
    public var inputNumberCount: Int { 2 }
    /// Number of blobs that it makes.
    public var outputBlobCount: Int { 2 * exclusions.count * rank }

    /// The factors of all tasks, in ranges, for each target and Kronecker product.
    public var cost: UnitCost {
        let sums = UInt64(exclusions.count).saturatingProduct(UInt64(rank))
        let sides = [inputShape, gradientShape].map(\.storedBytes)
        let triangles = sides[0].saturatingSum(sides[1])
        let inputBytes = triangles.saturatingProduct(UInt64(weights.count))
        return UnitCost(
            multiplyAdds: Double(inputBytes) / 4 * Double(sums), inputBytes: inputBytes,
            outputBytes: triangles.saturatingProduct(sums),
            memoryBytes: UnitCost.streaming(inputBytes: 0, outputBytes: 0, rows: weights.count).memoryBytes)
    }

    /// 0: the operation streams, and each range counts as progress.
    public var stageSeconds: Double { 0 }

    // MARK: - Encoding

    /// Encodes every field.
    public func encode(_ files: inout FileNumbering) -> [UInt8] {
        var wire = WireOptimalAccumulateOperation()
        wire.inputDimension = UInt32(inputShape.dimension)
        wire.hasDiagonalInput_p = inputShape.isDiagonal
        wire.gradientDimension = UInt32(gradientShape.dimension)
        wire.hasDiagonalGradient_p = gradientShape.isDiagonal
        wire.weights = weights
        wire.rank = UInt32(rank)
        wire.exclusions = exclusions.map { WireExclusion($0) }
        wire.scale = scale.rawValue
        return encoded(wire)
    }

    /// Decodes the bytes that ``encode(_:)`` made.
    ///
    /// - Throws: ``OperationError``.
    public init(decoding bytes: [UInt8], files: FileNumbering) throws(OperationError) {
        let wire: WireOptimalAccumulateOperation = try message(bytes)
        self.init(
            inputShape: try symmetricShape(wire.inputDimension, isDiagonal: wire.hasDiagonalInput_p),
            gradientShape: try symmetricShape(wire.gradientDimension, isDiagonal: wire.hasDiagonalGradient_p),
            weights: try taskWeights(wire.weights),
            rank: try count(wire.rank, "a rank", most: OperationLimits.listCountMax),
            exclusions: try UnitOperations.exclusions(wire.exclusions, taskCount: wire.weights.count),
            scale: try word(wire.scale, "a scale"))
    }
}
