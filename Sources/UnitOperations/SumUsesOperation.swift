public import Identifiers
public import LinearAlgebra

/// The factors of several uses of one weight → the one product that stands for their sum.
///
/// It reads A of each use, then B of each use, all F32, and makes A and B. On request it reads F64, and makes A and
/// B as F32, then as F64. Its subject is the block.
///
/// Source: DESIGN section 2.1.
public struct SumUsesOperation: UnitOperation {
    /// The shape of A.
    public var inputShape: SymmetricShape
    /// The shape of B.
    public var gradientShape: SymmetricShape
    /// Number of uses.
    public var useCount: Int
    /// Whether the factors are read as F64, and the sums also given so.
    public var givesDouble = false

    /// Describes a sum over uses.
    public init(inputShape: SymmetricShape, gradientShape: SymmetricShape, useCount: Int) {
        self.inputShape = inputShape
        self.gradientShape = gradientShape
        self.useCount = useCount
    }

    /// The position of a matrix among the unit's blobs.
    public static func position(of side: FactorSide) -> Int { side == .gradient ? 1 : 0 }

    // MARK: - Work

    /// The operation's name in leases and keys.
    public static var kind: String { "sum_uses" }
    /// The stage that it belongs to.
    public static var stage: UnitStage { .combine }
    /// The slices of files that it reads.
    public var slices: [FileSlice] { [] }
    /// Number of blobs that it reads.
    public var inputBlobCount: Int { 2 * useCount }
    /// Number of blobs that it makes.
    public var outputBlobCount: Int { 2 + doubleBlobCount }
    /// Both sides, if the sums are also given as F64.
    public var doubleBlobCount: Int { givesDouble ? 2 : 0 }

    /// Every factor is read twice, in ranges.
    public var cost: UnitCost {
        let bytes = inputShape.storedBytes.saturatingSum(gradientShape.storedBytes)
        let read = bytes.saturatingProduct(2 * UInt64(useCount))
        guard givesDouble else { return .streaming(inputBytes: read, outputBytes: bytes, rows: useCount + 2) }
        return .streaming(
            inputBytes: read.saturatingProduct(2), outputBytes: bytes.saturatingProduct(3), rows: 2 * useCount + 6)
    }

    /// 0: the operation streams, and each range counts as progress.
    public var stageSeconds: Double { 0 }

    // MARK: - Encoding

    /// Encodes every field.
    public func encode(_ files: inout FileNumbering) -> [UInt8] {
        var wire = WireSumUsesOperation()
        wire.inputDimension = UInt32(inputShape.dimension)
        wire.hasDiagonalInput_p = inputShape.isDiagonal
        wire.gradientDimension = UInt32(gradientShape.dimension)
        wire.hasDiagonalGradient_p = gradientShape.isDiagonal
        wire.uses = UInt32(useCount)
        wire.givesDouble = givesDouble
        return encoded(wire)
    }

    /// Decodes the bytes that ``encode(_:)`` made.
    ///
    /// - Throws: ``OperationError``.
    public init(decoding bytes: [UInt8], files: FileNumbering) throws(OperationError) {
        let wire: WireSumUsesOperation = try message(bytes)
        self.init(
            inputShape: try symmetricShape(wire.inputDimension, isDiagonal: wire.hasDiagonalInput_p),
            gradientShape: try symmetricShape(wire.gradientDimension, isDiagonal: wire.hasDiagonalGradient_p),
            useCount: try count(wire.uses, "the number of uses", most: OperationLimits.listCountMax))
        givesDouble = wire.givesDouble
        guard useCount > 0 else { throw .malformed("a sum over uses has none") }
    }
}
