import LinearAlgebra

/// The cost of a unit.
public struct UnitCost: Equatable, Sendable {
    /// Multiply-adds.
    public var multiplyAdds: Double
    /// Bytes read from input files and blobs.
    public var inputBytes: UInt64
    /// Bytes of the blobs or files that it makes.
    public var outputBytes: UInt64
    /// Peak memory in bytes while it runs, beyond what an idle process holds.
    public var memoryBytes: UInt64

    /// Describes a cost.
    public init(multiplyAdds: Double, inputBytes: UInt64, outputBytes: UInt64, memoryBytes: UInt64) {
        self.multiplyAdds = multiplyAdds
        self.inputBytes = inputBytes
        self.outputBytes = outputBytes
        self.memoryBytes = memoryBytes
    }

    /// Seconds on a nominal core, for priorities and estimates: 10^11 multiply-adds or 10^9 bytes a second.
    public var nominalSeconds: Double { multiplyAdds / 1e11 + (Double(inputBytes) + Double(outputBytes)) / 1e9 + 1e-4 }

    /// Whether the unit takes about as little time as its messages.
    ///
    /// A worker holds more of such units at a time, and their messages are joined.
    public var isBrief: Bool { nominalSeconds < 5e-4 }

    /// The fixed memory of a streaming operation in bytes.
    static let streamingBytes: UInt64 = 64 << 20

    /// The bytes of the range that is in memory of each factor that streams.
    private static let streamedRowBytes: UInt64 = 1 << 20

    /// The cost of a unit that streams.
    ///
    /// Its memory depends on the number of factors that stream at once, not on their size.
    package static func streaming(inputBytes: UInt64, outputBytes: UInt64, rows: Int = 0) -> UnitCost {
        UnitCost(
            multiplyAdds: 0, inputBytes: inputBytes, outputBytes: outputBytes,
            memoryBytes: streamingBytes.saturatingSum(streamedRowBytes.saturatingProduct(UInt64(rows))))
    }

    /// Seconds on a nominal core of a triangle's factorization, with all its fallbacks.
    ///
    /// A failed factorization is repeated with more damping. The last fallback is an eigendecomposition, which takes
    /// ten times as long.
    static func factorizationSeconds(of shape: SymmetricShape) -> Double {
        40 * shape.factorizationMultiplyAdds / 1e11
    }

    /// Seconds on a nominal core of a stage of known multiply-adds, most of which LAPACK does.
    ///
    /// LAPACK's decompositions reach about a quarter of the rate of products.
    static func stageSeconds(ofMultiplyAdds multiplyAdds: Double) -> Double { 4 * multiplyAdds / 1e11 }
}

extension UInt64 {
    /// The whole part of a number that is not negative, or the largest number when it does not fit.
    init(saturating value: Double) { self = value < 0x1p64 ? UInt64(value) : .max }
}

extension SymmetricShape {
    /// Bytes of the stored elements as fp32.
    package var storedBytes: UInt64 {
        let dimension = UInt64(dimension)
        guard !isDiagonal else { return dimension.saturatingProduct(4) }
        // n (n + 1) is even, so 2 n (n + 1) bytes is exact.
        return dimension.saturatingProduct(dimension.saturatingSum(1)).saturatingProduct(2)
    }

    /// Bytes of the stored elements in the forms in which a unit gives them: fp32, and fp64 on request.
    func givenBytes(givesDouble: Bool) -> UInt64 { storedBytes.saturatingProduct(givesDouble ? 3 : 1) }

    /// Bytes of the fp32 square, or of the diagonal.
    package var fullBytes: UInt64 {
        let dimension = UInt64(dimension)
        return isDiagonal ? storedBytes : dimension.saturatingProduct(dimension).saturatingProduct(4)
    }

    /// Bytes of the fp64 square, or of the diagonal.
    var doubleBytes: UInt64 { fullBytes.saturatingProduct(2) }

    /// n³, the unit of a factorization's multiply-adds; n for a diagonal.
    var factorizationMultiplyAdds: Double {
        let dimension = Double(dimension)
        return isDiagonal ? dimension : dimension * dimension * dimension
    }
}

extension CurvatureBlock.Kind {
    /// Elements of the block's matrix, bytes of its factors for fp64 products and as they are stored, and the
    /// multiply-adds of one product with each side.
    var sizes: (matrix: UInt64, squares: UInt64, packed: UInt64, products: Double) {
        let shapes = factors.map(\.shape)
        let squares = shapes.reduce(UInt64(0)) { $0.saturatingSum($1.doubleBytes) }
        let packed = shapes.reduce(UInt64(0)) { $0.saturatingSum($1.storedBytes) }
        let matrix = shapes.reduce(UInt64(1)) { $0.saturatingProduct(UInt64($1.dimension)) }
        // Of a diagonal side, a product multiplies each element once.
        let widths = shapes.reduce(0) { $0 + ($1.isDiagonal ? 1 : Double($1.dimension)) }
        let elements = shapes.reduce(1) { $0 * Double($1.dimension) }
        return (matrix, squares, packed, elements * widths)
    }
}
