public import LinearAlgebra

/// Sums of outer products in files → a Kronecker factor, or a partial sum of one.
///
/// It reads no blobs. It makes one: the factor, packed F32, or the partial sum, packed F64. On request it
/// makes a second blob, the factor as F64. Its subject is the factor.
///
/// Source: DESIGN section 3, partial sums.
public struct SumPartialsOperation: UnitOperation {
    /// The matrix's shape.
    public var shape: SymmetricShape
    /// `F32` or `F64`, the type of all slices.
    public var elementType: ElementType
    /// The packed lower triangles or the diagonals, in the order of the sum.
    public var slices: [FileSlice]
    /// The divisor of the sum; `nil` for a partial sum, which stays fp64 and undivided.
    public var divisor: Double?
    /// Whether the factor is also given as F64.
    public var givesDouble = false

    /// Describes a sum.
    public init(shape: SymmetricShape, elementType: ElementType, slices: [FileSlice], divisor: Double?) {
        self.shape = shape
        self.elementType = elementType
        self.slices = slices
        self.divisor = divisor
    }

    /// The matrix's rows and columns.
    public var dimension: Int { shape.dimension }

    // MARK: - Work

    /// The operation's name in leases and keys.
    public static var kind: String { "sum_partials" }
    /// The stage that it belongs to.
    public static var stage: UnitStage { .combine }
    /// Number of blobs that it reads.
    public var inputBlobCount: Int { 0 }
    /// Number of blobs that it makes.
    public var outputBlobCount: Int { 1 + doubleBlobCount }
    /// The last blob, if the factor is also given as F64; a partial sum is F64 anyway.
    public var doubleBlobCount: Int { givesDouble && divisor != nil ? 1 : 0 }

    /// A Cholesky factorization in fp64 checks the sum: n³/3 multiply-adds, which count double.
    ///
    /// A diagonal needs none.
    public var cost: UnitCost {
        UnitCost(
            multiplyAdds: 2 / 3 * shape.factorizationMultiplyAdds,
            inputBytes: slices.reduce(0) { $0.saturatingSum($1.byteCount) },
            outputBytes: divisor == nil
                ? shape.storedBytes.saturatingProduct(2) : shape.givenBytes(givesDouble: givesDouble),
            memoryBytes: shape.doubleBytes.saturatingSum(UnitCost.streamingBytes))
    }

    /// Cholesky factorizations.
    public var kernel: UnitKernel { shape.isDiagonal ? .elementSum : .factorization(dimension: shape.dimension) }

    /// Seconds on a nominal core of the costliest stage that reports no progress of its own.
    public var stageSeconds: Double { UnitCost.factorizationSeconds(of: shape) }

    // MARK: - Encoding

    /// Encodes every field.
    public func encode(_ files: inout FileNumbering) -> [UInt8] {
        var wire = WireSumPartialsOperation()
        wire.dimension = UInt32(shape.dimension)
        wire.isDiagonal = shape.isDiagonal
        wire.elementType = elementType.rawValue
        for slice in slices { wire.slices.append(slice.wire(&files)) }
        if let divisor { wire.divisor = divisor }
        wire.givesDouble = givesDouble
        return encoded(wire)
    }

    /// Decodes the bytes that ``encode(_:)`` made.
    ///
    /// - Throws: ``OperationError``.
    public init(decoding bytes: [UInt8], files: FileNumbering) throws(OperationError) {
        let wire: WireSumPartialsOperation = try message(bytes)
        self.init(
            shape: try symmetricShape(wire.dimension, isDiagonal: wire.isDiagonal),
            elementType: try word(wire.elementType, "an element type"),
            slices: try list(wire.slices, "the list of slices") { slice throws(OperationError) in
                try FileSlice(slice, files)
            },
            divisor: wire.hasDivisor ? try UnitOperations.divisor(wire.divisor) : nil)
        givesDouble = wire.givesDouble
        try checkShape()
    }

    private func checkShape() throws(OperationError) {
        guard !slices.isEmpty else { throw .malformed("a sum has no parts") }
        guard elementType == .f32 || elementType == .f64 else {
            throw .malformed("the parts of a sum are \(elementType.rawValue)")
        }
        let expected = shape.storedBytes.saturatingProduct(UInt64(elementType.byteCount)) / 4
        for slice in slices where slice.byteCount != expected {
            throw .malformed(
                "a \(shape.isDiagonal ? "diagonal" : "triangle") of dimension \(dimension) has \(slice.byteCount) bytes"
            )
        }
    }
}
