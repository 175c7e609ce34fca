/// A matrix of low rank, kept as its two factors, of which any elements can be added to others.
///
/// It is the update of an adapter: scale · up · down, or that transposed.
///
/// Source: LoRA, Hu et al. 2021, arXiv 2106.09685, section 4.1.
public struct LowRankProduct: Sendable {
    /// Number of rows of the product.
    public let rows: Int
    /// Number of columns of the product.
    public let columns: Int
    /// The number that the factors share.
    let rank: Int
    /// The factor of the product.
    let scale: Double
    /// `[rows, rank]`.
    let left: [Double]
    /// `[rank, columns]`.
    let right: [Double]

    /// Takes the factors of `scale · up · down`.
    ///
    /// - Parameters:
    ///   - up: `[rows, rank]`, row by row; `[columns, rank]` for a transposed product.
    ///   - down: `[rank, columns]`, row by row; `[rank, rows]` for a transposed product.
    ///   - rows: Rows of the product.
    ///   - columns: Columns of the product.
    ///   - rank: The number that the factors share.
    ///   - scale: The factor of the product.
    ///   - isTransposed: Whether the product is `scale · (up · down)ᵀ`.
    /// - Throws: ``LinearAlgebraError/lengthMismatch(buffer:expected:found:)`` for factors of other sizes.
    public init(
        up: [Double], down: [Double], rows: Int, columns: Int, rank: Int, scale: Double, isTransposed: Bool
    ) throws(LinearAlgebraError) {
        let (outputs, inputs) = isTransposed ? (columns, rows) : (rows, columns)
        guard up.count == outputs * rank else {
            throw .lengthMismatch(buffer: "the up-projection", expected: outputs * rank, found: up.count)
        }
        guard down.count == rank * inputs else {
            throw .lengthMismatch(buffer: "the down-projection", expected: rank * inputs, found: down.count)
        }
        self.rows = rows
        self.columns = columns
        self.rank = rank
        self.scale = scale
        left = isTransposed ? Self.transposed(down, rows: rank, columns: inputs) : up
        right = isTransposed ? Self.transposed(up, rows: outputs, columns: rank) : down
    }

    private static func transposed(_ values: [Double], rows: Int, columns: Int) -> [Double] {
        var transposed = [Double](repeating: 0, count: values.count)
        for row in 0..<rows {
            for column in 0..<columns { transposed[column * rows + row] = values[row * columns + column] }
        }
        return transposed
    }

    /// Adds elements of the product, each computed in fp64 and added once.
    ///
    /// An element does not depend on the range in which it is asked for.
    ///
    /// - Parameters:
    ///   - elements: The elements, counted row by row.
    ///   - values: As many values.
    /// - Throws: ``LinearAlgebraError/lengthMismatch(buffer:expected:found:)`` for another number of values, or for
    ///   elements that the product does not have.
    public func add(_ elements: Range<Int>, to values: inout MutableSpan<Double>) throws(LinearAlgebraError) {
        guard values.count == elements.count, elements.lowerBound >= 0, elements.upperBound <= rows * columns else {
            throw .lengthMismatch(buffer: "the values of an update", expected: rows * columns, found: values.count)
        }
        guard !elements.isEmpty else { return }
        var product = [Double](repeating: 0, count: min(columns, elements.count))
        var next = elements.lowerBound
        while next < elements.upperBound {
            let (row, column) = next.quotientAndRemainder(dividingBy: columns)
            let count = min(columns - column, elements.upperBound - next)
            for index in 0..<count { product[index] = 0 }
            var span = product.mutableSpan
            var target = span._mutatingExtracting(first: count)
            for term in 0..<rank {
                let start = term * columns + column
                try VectorOperations.add(
                    right.span.extracting(start..<start + count), times: left[row * rank + term], to: &target)
            }
            let first = next - elements.lowerBound
            var part = values._mutatingExtracting(first..<first + count)
            try VectorOperations.add(target.span, times: scale, to: &part)
            next += count
        }
    }
}
