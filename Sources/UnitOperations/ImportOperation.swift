public import LinearAlgebra

/// A factor of a finished set → a packed fp32 triangle, or an fp32 diagonal.
///
/// It reads no blobs. It makes one, the factor; on request a second one, the same as F64. Its subject is the factor.
public struct ImportOperation: UnitOperation {
    /// The matrix's shape.
    public var shape: SymmetricShape
    /// `F32` or `F64`; of no meaning for a compressed matrix.
    public var elementType: ElementType
    /// Whether the tensor is a packed lower triangle rather than a square; of no meaning for a diagonal.
    public var isPacked: Bool
    /// The place of its bytes.
    public var slice: FileSlice
    /// How the matrix is compressed; `nil` for elements as they are.
    ///
    /// A diagonal is never compressed.
    public var compression: Compression?
    /// Whether the factor is also given as F64.
    public var givesDouble = false

    /// Describes an import.
    public init(
        shape: SymmetricShape, elementType: ElementType, isPacked: Bool, slice: FileSlice,
        compression: Compression? = nil
    ) {
        self.shape = shape
        self.elementType = elementType
        self.isPacked = isPacked
        self.slice = slice
        self.compression = compression
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
    public var outputBlobCount: Int { 1 + doubleBlobCount }
    /// The last blob, if the factor is also given as F64.
    public var doubleBlobCount: Int { givesDouble ? 1 : 0 }

    /// A Cholesky factorization in fp64 checks the factor: n³/3 multiply-adds, which count double.
    ///
    /// A diagonal needs none.
    public var cost: UnitCost {
        UnitCost(
            multiplyAdds: 2 / 3 * shape.factorizationMultiplyAdds,
            inputBytes: slice.byteCount, outputBytes: shape.givenBytes(givesDouble: givesDouble),
            memoryBytes: matrixBytes.saturatingSum(UnitCost.streamingBytes))
    }

    /// The fp64 square; to decode a matrix, its bytes and its triangle besides.
    private var matrixBytes: UInt64 {
        guard compression != nil else { return shape.doubleBytes }
        return shape.doubleBytes.saturatingProduct(2).saturatingSum(slice.byteCount)
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
        if let compression {
            wire.form = compression.form.wire
            wire.shift = compression.shift
        }
        wire.givesDouble = givesDouble
        return encoded(wire)
    }

    /// Decodes the bytes that ``encode(_:)`` made.
    ///
    /// - Throws: ``OperationError``.
    public init(decoding bytes: [UInt8], files: FileNumbering) throws(OperationError) {
        let wire: WireImportOperation = try message(bytes)
        let shift = wire.shift
        guard shift.isFinite, shift >= 0, wire.hasForm || shift == 0, !(wire.hasForm && wire.isDiagonal) else {
            throw .malformed("a compressed matrix is a diagonal, or has the shift \(shift)")
        }
        self.init(
            shape: try symmetricShape(wire.dimension, isDiagonal: wire.isDiagonal),
            elementType: try word(wire.elementType, "an element type"), isPacked: wire.isPacked,
            slice: try FileSlice(wire.slice, files),
            compression: wire.hasForm ? Compression(form: try CompressedForm(wire.form), shift: shift) : nil)
        givesDouble = wire.givesDouble
    }
}
