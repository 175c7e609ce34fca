public import LinearAlgebra

/// Partial sums → a factor.
///
/// It reads the partial sums, packed F64, in the order of their rows. It makes one blob: the divided sum, packed F32.
/// On request it makes a second one, the same as F64.
public struct CombineOperation: UnitOperation {
    /// Number of partial sums.
    public var partCount: Int
    /// The matrix's shape.
    public var shape: SymmetricShape
    /// The divisor of the sum.
    public var divisor: Double
    /// Whether the factor is also given as F64.
    public var givesDouble = false

    /// Describes a sum of partial sums.
    public init(partCount: Int, shape: SymmetricShape, divisor: Double) {
        self.partCount = partCount
        self.shape = shape
        self.divisor = divisor
    }

    // MARK: - Work

    /// The operation's name in leases and keys.
    public static var kind: String { "combine_parts" }
    /// The stage that it belongs to.
    public static var stage: UnitStage { .combine }
    /// The slices of files that it reads.
    public var slices: [FileSlice] { [] }
    /// Number of blobs that it reads.
    public var inputBlobCount: Int { partCount }
    /// Number of blobs that it makes.
    public var outputBlobCount: Int { 1 + doubleBlobCount }
    /// The last blob, if the factor is also given as F64.
    public var doubleBlobCount: Int { givesDouble ? 1 : 0 }

    /// The cost of the unit.
    public var cost: UnitCost {
        .streaming(
            inputBytes: shape.storedBytes.saturatingProduct(2 * UInt64(partCount)),
            outputBytes: shape.givenBytes(givesDouble: givesDouble), rows: givesDouble ? 7 : 5)
    }

    /// 0: the operation streams, and each range counts as progress.
    public var stageSeconds: Double { 0 }

    // MARK: - Encoding

    /// Encodes every field.
    public func encode(_ files: inout FileNumbering) -> [UInt8] {
        var wire = WireCombineOperation()
        wire.parts = UInt32(partCount)
        wire.dimension = UInt32(shape.dimension)
        wire.isDiagonal = shape.isDiagonal
        wire.divisor = divisor
        wire.givesDouble = givesDouble
        return encoded(wire)
    }

    /// Decodes the bytes that ``encode(_:)`` made.
    ///
    /// - Throws: ``OperationError``.
    public init(decoding bytes: [UInt8], files: FileNumbering) throws(OperationError) {
        let wire: WireCombineOperation = try message(bytes)
        self.init(
            partCount: try count(wire.parts, "the number of parts", most: OperationLimits.listCountMax),
            shape: try symmetricShape(wire.dimension, isDiagonal: wire.isDiagonal),
            divisor: try UnitOperations.divisor(wire.divisor))
        givesDouble = wire.givesDouble
        guard partCount > 0 else { throw .malformed("a sum has no parts") }
    }
}
