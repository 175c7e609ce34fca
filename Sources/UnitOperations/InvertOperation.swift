import KroneckerFactors
public import LinearAlgebra

/// A packed factor → its damped inverse.
///
/// It reads the factor. It makes one blob, the inverse. Both are packed F32.
///
/// Source: DESIGN section 2.4.
public struct InvertOperation: UnitOperation {
    /// The factor's shape.
    public var shape: SymmetricShape
    /// Whether the factor is a full block, not one side of a layer.
    public var isFullBlock: Bool
    /// The damping.
    public var damping: DampingSpec

    /// Describes an inversion.
    public init(shape: SymmetricShape, isFullBlock: Bool, damping: DampingSpec) {
        self.shape = shape
        self.isFullBlock = isFullBlock
        self.damping = damping
    }

    // MARK: - Work

    /// The operation's name in leases and keys.
    public static var kind: String { "invert" }
    /// The stage that it belongs to.
    public static var stage: UnitStage { .invert }
    /// The slices of files that it reads.
    public var slices: [FileSlice] { [] }
    /// Number of blobs that it reads.
    public var inputBlobCount: Int { 1 }
    /// Number of blobs that it makes.
    public var outputBlobCount: Int { 1 }

    /// n³ multiply-adds in fp64, which count double; n for a diagonal.
    public var cost: UnitCost {
        let memory = MemoryEstimate.inverse(of: shape)
        return UnitCost(
            multiplyAdds: 2 * shape.factorizationMultiplyAdds, inputBytes: shape.storedBytes,
            outputBytes: shape.storedBytes,
            memoryBytes: UInt64(clamping: memory).saturatingSum(UnitCost.streamingBytes))
    }

    /// Cholesky factorizations.
    public var kernel: UnitKernel { shape.isDiagonal ? .elementSum : .factorization(dimension: shape.dimension) }

    /// Seconds on a nominal core of the costliest stage that reports no progress of its own.
    public var stageSeconds: Double { UnitCost.factorizationSeconds(of: shape) }

    // MARK: - Encoding

    /// Encodes every field.
    public func encode(_ files: inout FileNumbering) -> [UInt8] {
        var wire = WireInvertOperation()
        wire.dimension = UInt32(shape.dimension)
        wire.isDiagonal = shape.isDiagonal
        wire.isFullBlock = isFullBlock
        wire.damping = damping.wire
        return encoded(wire)
    }

    /// Decodes the bytes that ``encode(_:)`` made.
    ///
    /// - Throws: ``OperationError``.
    public init(decoding bytes: [UInt8], files: FileNumbering) throws(OperationError) {
        let wire: WireInvertOperation = try message(bytes)
        self.init(
            shape: try symmetricShape(wire.dimension, isDiagonal: wire.isDiagonal), isFullBlock: wire.isFullBlock,
            damping: try DampingSpec(wire.damping))
    }
}
