public import LinearAlgebra

/// A factor of a finished set → a packed fp32 triangle, or an fp32 diagonal.
///
/// It reads no blobs. It makes one, the factor. Its subject is the factor.
public struct ImportOperation: UnitOperation {
    /// The matrix's shape.
    public var shape: SymmetricShape
    /// `F32` or `F64`.
    public var elementType: ElementType
    /// Whether the tensor is a packed lower triangle rather than a square; of no meaning for a diagonal.
    public var isPacked: Bool
    /// The place of its bytes.
    public var slice: FileSlice

    /// Describes an import.
    public init(shape: SymmetricShape, elementType: ElementType, isPacked: Bool, slice: FileSlice) {
        self.shape = shape
        self.elementType = elementType
        self.isPacked = isPacked
        self.slice = slice
    }

    /// The matrix's rows and columns.
    public var dimension: Int { shape.dimension }

    // MARK: - Work

    /// The operation's name in leases and keys.
    public static var kind: String { "import_factor" }
    /// The stage that it belongs to.
    public static var stage: UnitStage { .importFactor }
    /// The slices of files that it reads.
    public var slices: [FileSlice] { [slice] }
    /// Number of blobs that it reads.
    public var inputBlobCount: Int { 0 }
    /// Number of blobs that it makes.
    public var outputBlobCount: Int { 1 }

    /// A Cholesky factorization in fp64 checks the factor: n³/3 multiply-adds, which count double.
    ///
    /// A diagonal needs none.
    public var cost: UnitCost {
        UnitCost(
            multiplyAdds: 2 / 3 * shape.factorizationMultiplyAdds,
            inputBytes: slice.byteCount, outputBytes: shape.storedBytes,
            memoryBytes: shape.doubleBytes.saturatingSum(UnitCost.streamingBytes))
    }

    /// Cholesky factorizations.
    public var kernel: UnitKernel { shape.isDiagonal ? .elementSum : .factorization(dimension: shape.dimension) }

    /// Seconds on a nominal core of the costliest stage that reports no progress of its own.
    public var stageSeconds: Double { UnitCost.factorizationSeconds(of: shape) }

    // MARK: - Encoding

    /// Encodes every field.
    public func encode(_ files: inout FileNumbering) -> [UInt8] {
        var wire = WireImportOperation()
        wire.dimension = UInt32(shape.dimension)
        wire.isDiagonal = shape.isDiagonal
        wire.elementType = elementType.rawValue
        wire.isPacked = isPacked
        wire.slice = slice.wire(&files)
        return encoded(wire)
    }

    /// Decodes the bytes that ``encode(_:)`` made.
    ///
    /// - Throws: ``OperationError``.
    public init(decoding bytes: [UInt8], files: FileNumbering) throws(OperationError) {
        let wire: WireImportOperation = try message(bytes)
        self.init(
            shape: try symmetricShape(wire.dimension, isDiagonal: wire.isDiagonal),
            elementType: try word(wire.elementType, "an element type"), isPacked: wire.isPacked,
            slice: try FileSlice(wire.slice, files))
    }
}
