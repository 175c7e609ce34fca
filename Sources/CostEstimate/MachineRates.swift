/// How fast one lane of a machine computes, reads and writes while all its other lanes do the same.
///
/// Lanes share the memory and the clock of the processor, so a lane alone would be faster.
public struct MachineRates: Equatable, Sendable, Codable {
    /// Products of rows in fp32, by the number of columns, without the addition to the sum in fp64.
    public var products: RateCurve
    /// Products of rows that are exact in bfloat16; `nil` where they are no faster.
    public var bfloat16Products: RateCurve?
    /// Cholesky factorization and inverse in fp64, counted as `InvertOperation` counts them.
    public var factorizations: RateCurve
    /// Products of matrices in fp64, in multiply-adds a second.
    public var matrixProducts: Double
    /// Elements a second that are added in fp64.
    public var elementSums: Double
    /// Elements a second of a factor's triangle that are cleared before its rows, and rounded after them.
    public var triangles: Double
    /// Elements a second of a triangle that are mirrored into a fresh square.
    public var squares: Double
    /// Bytes a second that are read from files in the page cache.
    public var reading: Double
    /// Bytes a second that are written to the page cache.
    public var writing: Double
    /// Bytes a second whose SHA-256 is computed.
    public var hashing: Double
    /// The paces of merges, by ``MergeSample/kind``.
    public var merges: [String: MergePace] = [:]

    /// States the rates.
    public init(
        products: RateCurve, bfloat16Products: RateCurve?, factorizations: RateCurve, matrixProducts: Double,
        elementSums: Double, triangles: Double, squares: Double, reading: Double, writing: Double, hashing: Double
    ) {
        self.products = products
        self.bfloat16Products = bfloat16Products
        self.factorizations = factorizations
        self.matrixProducts = matrixProducts
        self.elementSums = elementSums
        self.triangles = triangles
        self.squares = squares
        self.reading = reading
        self.writing = writing
        self.hashing = hashing
    }

    /// Whether every rate is positive.
    var isComplete: Bool {
        [matrixProducts, elementSums, triangles, squares, reading, writing, hashing].allSatisfy(\.isRate)
            && merges.values.allSatisfy(\.isPace)
    }
}
