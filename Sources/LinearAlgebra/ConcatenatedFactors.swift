/// The factors of a weighted sum of products, side by side: Σ c_t B_t A_t = [c_1 B_1, c_2 B_2, …] · [A_1; A_2; …].
///
/// Nothing is multiplied, so the sum is exact up to the rounding of the factors. ``leading(_:)`` has fewer columns.
public struct ConcatenatedFactors: ~Copyable, Sendable {
    /// Columns of B.
    public let rank: Int
    /// The squared norm of what ``leading(_:)`` left out of the sum.
    public private(set) var missedSquares = 0.0
    /// B, `[outputs, rank]`.
    private var up: Matrix<Double>
    /// A, `[rank, inputs]`.
    private var down: Matrix<Double>
    private var filled = 0

    /// Makes room for factors.
    ///
    /// - Parameters:
    ///   - inputs: Columns of A.
    ///   - outputs: Rows of B.
    ///   - rank: The sum of all ranks.
    /// - Throws: ``LinearAlgebraError`` when memory is short.
    public init(inputs: Int, outputs: Int, rank: Int) throws(LinearAlgebraError) {
        let up = try Matrix<Double>(rows: outputs, columns: rank)
        let down = try Matrix<Double>(rows: rank, columns: inputs)
        self.rank = rank
        self.up = up
        self.down = down
    }

    /// Adds a product; its shape and rank must fit what there is room for.
    ///
    /// - Parameters:
    ///   - product: `[outputs, inputs]`; `[inputs, outputs]` for a transposed one.
    ///   - factor: c.
    ///   - isTransposed: Whether the product's transpose is added.
    public mutating func add(_ product: LowRankProduct, times factor: Double, isTransposed: Bool) {
        let (count, first, width) = (product.rank, filled, rank)
        precondition(first + count <= width, "there is no room for a product of rank \(count)")
        let scale = factor * product.scale
        let (outputs, inputs) = (up.rowCount, down.columnCount)
        up.withMutableSpan { up in
            for row in 0..<outputs {
                for term in 0..<count {
                    let value = isTransposed ? product.right[term * outputs + row] : product.left[row * count + term]
                    up[row * width + first + term] = scale * value
                }
            }
        }
        down.withMutableSpan { down in
            for term in 0..<count {
                for column in 0..<inputs {
                    down[(first + term) * inputs + column] =
                        isTransposed ? product.left[column * count + term] : product.right[term * inputs + column]
                }
            }
        }
        filled += count
    }

    /// The best factors of at most so many columns for the same sum, as ``BalancedFactors`` has them.
    ///
    /// - Parameter count: The most columns, at least 1.
    /// - Returns: The factors; of rank 0 for a sum of zero.
    /// - Throws: ``LinearAlgebraError`` for values that are not finite, or what the decomposition throws.
    /// - Complexity: That of ``SingularValueDecomposition/init(ofProduct:_:)``, for a rank of at most both extents.
    public consuming func leading(_ count: Int) throws(LinearAlgebraError) -> ConcatenatedFactors {
        let best = try BalancedFactors(
            of: try SingularValueDecomposition<Double>(ofProduct: up, down), rank: count)
        return ConcatenatedFactors(best)
    }

    private init(_ best: consuming BalancedFactors) {
        rank = best.up.columnCount
        filled = rank
        missedSquares = best.missedSquares
        up = best.up
        down = best.down
    }

    /// B's bytes in a type.
    ///
    /// - Throws: ``LinearAlgebraError``.
    public func up(in type: ElementType) throws(LinearAlgebraError) -> [UInt8] { try Self.encoded(up, type) }

    /// A's bytes in a type.
    ///
    /// - Throws: ``LinearAlgebraError``.
    public func down(in type: ElementType) throws(LinearAlgebraError) -> [UInt8] { try Self.encoded(down, type) }

    private static func encoded(
        _ matrix: borrowing Matrix<Double>, _ type: ElementType
    ) throws(LinearAlgebraError) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: matrix.elementCount * type.byteCount)
        var span = bytes.mutableSpan
        var target = unsafe span.mutableBytes
        try type.encode(matrix.elements.span, into: &target)
        return bytes
    }

    /// The squared norms of what rounding lost, and of the product.
    ///
    /// B A − B' A' = [B − B', B'] · [A; A − A'], whose squared norm is the inner product of two Gram matrices, and so
    /// takes no matrix of the product's size. What ``leading(_:)`` left out is orthogonal to B and A, so its square is
    /// added to both.
    ///
    /// - Parameters:
    ///   - bytesOfUp: The bytes of B'.
    ///   - bytesOfDown: The bytes of A'.
    ///   - type: Their type.
    /// - Returns: ‖Δ − B' A'‖², then ‖Δ‖², of the sum Δ.
    /// - Throws: ``LinearAlgebraError``.
    public func squares(
        up bytesOfUp: [UInt8], down bytesOfDown: [UInt8], in type: ElementType
    ) throws(LinearAlgebraError) -> [Double] {
        let roundedUp = try Self.decoded(bytesOfUp, type)
        let roundedDown = try Self.decoded(bytesOfDown, type)
        let (outputs, inputs, rank) = (up.rowCount, down.columnCount, rank)
        var left = try Matrix<Double>(rows: outputs, columns: 2 * rank)
        var right = try Matrix<Double>(rows: 2 * rank, columns: inputs)
        up.withSpan { up in
            left.withMutableSpan { left in
                for row in 0..<outputs {
                    for term in 0..<rank {
                        let place = row * rank + term
                        left[row * 2 * rank + term] = up[place] - roundedUp[place]
                        left[row * 2 * rank + rank + term] = roundedUp[place]
                    }
                }
            }
        }
        down.withSpan { down in
            right.withMutableSpan { right in
                for place in down.indices {
                    right[place] = down[place]
                    right[rank * inputs + place] = down[place] - roundedDown[place]
                }
            }
        }
        return [try Self.squares(left, right) + missedSquares, try Self.squares(up, down) + missedSquares]
    }

    private static func decoded(_ bytes: [UInt8], _ type: ElementType) throws(LinearAlgebraError) -> [Double] {
        var values = [Double](repeating: 0, count: bytes.count / type.byteCount)
        var target = values.mutableSpan
        try type.decode(unsafe bytes.span.bytes, into: &target)
        return values
    }

    /// ‖left · right‖², which rounding may not make negative.
    private static func squares(
        _ left: borrowing Matrix<Double>, _ right: borrowing Matrix<Double>
    ) throws(LinearAlgebraError) -> Double {
        var ofLeft = try Matrix<Double>(rows: left.columnCount, columns: left.columnCount)
        try ofLeft.addProduct(left, .transposed, left, .none)
        var ofRight = try Matrix<Double>(rows: right.rowCount, columns: right.rowCount)
        try ofRight.addProduct(right, .none, right, .transposed)
        return max(0, try VectorOperations.dot(ofLeft.elements.span, ofRight.elements.span))
    }
}
