/// The best product of two narrow matrices for a matrix: M ≈ B · A of its leading singular triplets, with B = U √S and
/// A = √S Vᵀ.
///
/// Both factors have the same singular values, so that neither loses more than the other in a type of few digits.
///
/// Source: Eckart & Young 1936, doi 10.1007/BF02288367.
public struct BalancedFactors: ~Copyable, Sendable {
    /// B, `[m, r]`.
    public let up: Matrix<Double>
    /// A, `[r, n]`.
    public let down: Matrix<Double>
    /// ‖M − B A‖², the sum of the squares of the singular values that are left out.
    public let missedSquares: Double

    /// Singular values of at most this share of the largest are left out: the subtraction of two models makes such
    /// values where there are none.
    private static let least = 1e-10

    /// Decomposes a matrix.
    ///
    /// - Parameters:
    ///   - matrix: `[m, n]`; it is consumed.
    ///   - rank: The most triplets to keep, at least 1. A matrix with fewer has smaller factors, and a matrix of zeros
    ///     has factors of rank 0.
    /// - Throws: What the decomposition throws.
    /// - Complexity: That of ``SingularValueDecomposition/init(decomposing:)``.
    public init(of matrix: consuming Matrix<Double>, rank: Int) throws(LinearAlgebraError) {
        try self.init(of: try SingularValueDecomposition<Double>(decomposing: matrix), rank: rank)
    }

    /// Takes the leading triplets of a decomposition.
    ///
    /// - Parameters:
    ///   - parts: The decomposition; it is consumed.
    ///   - rank: As of ``init(of:rank:)``.
    /// - Throws: ``LinearAlgebraError`` when memory is short.
    init(of parts: consuming SingularValueDecomposition<Double>, rank: Int) throws(LinearAlgebraError) {
        let bound = Self.least * (parts.values.first ?? 0)
        let roots = parts.values.prefix(rank).filter { $0 > bound }.map { $0.squareRoot() }
        var up = try Matrix<Double>(rows: parts.left.rowCount, columns: roots.count)
        var down = try Matrix<Double>(rows: roots.count, columns: parts.right.columnCount)
        let (width, count, columns) = (parts.left.columnCount, roots.count, down.columnCount)
        parts.left.withSpan { left in
            up.withMutableSpan { up in
                for place in up.indices {
                    let (row, term) = place.quotientAndRemainder(dividingBy: count)
                    up[place] = left[row * width + term] * roots[term]
                }
            }
        }
        parts.right.withSpan { right in
            down.withMutableSpan { down in
                for place in down.indices { down[place] = right[place] * roots[place / columns] }
            }
        }
        self.up = up
        self.down = down
        missedSquares = parts.values.dropFirst(roots.count).reduce(0) { $0 + $1 * $1 }
    }

    /// The peak bytes of ``init(of:rank:)``, with the matrix and the result; `Int.max` if they do not fit.
    ///
    /// - Parameters:
    ///   - rows: m.
    ///   - columns: n.
    ///   - rank: The most triplets.
    /// - Returns: The bytes.
    public static func byteCount(rows: Int, columns: Int, rank: Int) -> Int {
        SingularValueDecomposition<Double>.byteCount(rows: rows, columns: columns).saturatingSum(
            min(rank, rows, columns).saturatingProduct(rows.saturatingSum(columns)).saturatingProduct(
                MemoryLayout<Double>.stride))
    }

    /// The multiply-adds of ``init(of:rank:)``: 3mn·k + 10k³, k = min(m, n).
    ///
    /// - Parameters:
    ///   - rows: m.
    ///   - columns: n.
    /// - Returns: The number.
    public static func multiplyAdds(rows: Int, columns: Int) -> Double {
        let (elements, order) = (Double(rows) * Double(columns), Double(min(rows, columns)))
        return 3 * elements * order + 10 * order * order * order
    }
}
