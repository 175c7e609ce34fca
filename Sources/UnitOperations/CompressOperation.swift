public import LinearAlgebra

/// A packed factor, or a matrix of a regularizer → its compressed form for a file.
///
/// It reads the packed F32 triangle. It makes one blob, the form's bytes. Only files hold them: every other unit reads
/// the exact matrix.
///
/// Source: DESIGN section 3.
public struct CompressOperation: UnitOperation {
    /// Rows and columns of the matrix, of which all elements are known.
    public var dimension: Int
    /// The form.
    public var form: CompressedForm
    /// What the matrix is multiplied by before it is compressed.
    public var strength: Double
    /// Whether a matrix that is not semi-definite after decoding gets a shift of its diagonal.
    public var repairs: Bool

    /// Describes a compression.
    public init(dimension: Int, form: CompressedForm, strength: Double = 1, repairs: Bool = false) {
        self.dimension = dimension
        self.form = form
        self.strength = strength
        self.repairs = repairs
    }

    // MARK: - Work

    /// The operation's name in leases and keys.
    public static var kind: String { "compress" }
    /// The stage that it belongs to.
    public static var stage: UnitStage { .compress }
    /// The slices of files that it reads.
    public var slices: [FileSlice] { [] }
    /// Number of blobs that it reads.
    public var inputBlobCount: Int { 1 }
    /// Number of blobs that it makes.
    public var outputBlobCount: Int { 1 }

    private var shape: SymmetricShape { .full(dimension) }

    /// Multiply-adds in fp64, which count double: 2n³/3 for the eigenvalues after decoding, and 9n³ for the
    /// eigenvectors of a low rank.
    private var multiplyAdds: Double {
        let cube = shape.factorizationMultiplyAdds
        if case .lowRank = form { return 2 * (9 + 2.0 / 3) * cube }
        return 4 / 3 * cube
    }

    /// The matrix, its bytes, its decoded triangle, and one fp64 square with the workspace of its eigenvalues; for a
    /// low rank also that of its eigenvectors, which is two squares.
    public var cost: UnitCost {
        let bytes = UInt64(clamping: form.byteCount(dimension: dimension))
        let squares: UInt64 = if case .lowRank = form { 4 } else { 2 }
        let memory = shape.storedBytes.saturatingSum(bytes.saturatingProduct(2))
            .saturatingSum(shape.doubleBytes.saturatingProduct(squares))
        return UnitCost(
            multiplyAdds: multiplyAdds, inputBytes: shape.storedBytes, outputBytes: bytes,
            memoryBytes: memory.saturatingSum(UnitCost.streamingBytes))
    }

    /// LAPACK's reductions reach the rate of factorizations.
    public var kernel: UnitKernel { .factorization(dimension: dimension) }

    /// Seconds on a nominal core of the costliest stage that reports no progress of its own.
    public var stageSeconds: Double { UnitCost.stageSeconds(ofMultiplyAdds: multiplyAdds) }

    // MARK: - Encoding

    /// Encodes every field.
    public func encode(_ files: inout FileNumbering) -> [UInt8] {
        var wire = WireCompressOperation()
        wire.dimension = UInt32(dimension)
        wire.form = form.wire
        wire.strength = strength
        wire.repairs = repairs
        return encoded(wire)
    }

    /// Decodes the bytes that ``encode(_:)`` made.
    ///
    /// - Throws: ``OperationError``.
    public init(decoding bytes: [UInt8], files: FileNumbering) throws(OperationError) {
        let wire: WireCompressOperation = try message(bytes)
        guard wire.strength.isFinite, wire.strength >= 0 else {
            throw .malformed("a strength is \(wire.strength)")
        }
        self.init(
            dimension: try symmetricShape(wire.dimension, isDiagonal: false).dimension,
            form: try CompressedForm(wire.form), strength: wire.strength, repairs: wire.repairs)
    }
}
