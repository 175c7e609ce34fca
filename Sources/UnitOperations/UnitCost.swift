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
    static func factorizationSeconds(dimension: Int) -> Double {
        let dimension = Double(dimension)
        return 40 * dimension * dimension * dimension / 1e11
    }
}

extension UInt64 {
    /// Bytes of a packed fp32 triangle.
    package static func packed(_ dimension: Int) -> UInt64 {
        // n (n + 1) is even, so 2 n (n + 1) bytes is exact.
        UInt64(dimension).saturatingProduct(UInt64(dimension).saturatingSum(1)).saturatingProduct(2)
    }
    /// Bytes of a square of fp32.
    package static func square(_ dimension: Int) -> UInt64 {
        UInt64(dimension).saturatingProduct(UInt64(dimension)).saturatingProduct(4)
    }
    /// Bytes of a square of fp64.
    static func squareDouble(_ dimension: Int) -> UInt64 { square(dimension).saturatingProduct(2) }

    /// The whole part of a number that is not negative, or the largest number when it does not fit.
    init(saturating value: Double) { self = value < 0x1p64 ? UInt64(value) : .max }
}

extension CurvatureBlock.Kind {
    /// Elements of the block's matrix, bytes of its factors as fp64 squares and as fp32 triangles, and the
    /// multiply-adds of one product with each side.
    var sizes: (matrix: UInt64, squares: UInt64, packed: UInt64, products: Double) {
        let dimensions = factors.map(\.dimension)
        let squares = dimensions.reduce(UInt64(0)) { $0.saturatingSum(.squareDouble($1)) }
        let packed = dimensions.reduce(UInt64(0)) { $0.saturatingSum(.packed($1)) }
        guard dimensions.count == 2 else {
            let dimension = Double(dimensions[0])
            return (UInt64(dimensions[0]), squares, packed, dimension * dimension)
        }
        let (inputs, outputs) = (Double(dimensions[0]), Double(dimensions[1]))
        return (
            UInt64(dimensions[0]).saturatingProduct(UInt64(dimensions[1])), squares, packed,
            outputs * inputs * (inputs + outputs)
        )
    }
}
