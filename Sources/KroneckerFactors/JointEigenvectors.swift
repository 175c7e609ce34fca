public import LinearAlgebra

/// The leading eigenvectors of the Gram matrix of joint rows, and how much of it they keep.
///
/// The combinations Qᵀ X of weighted rows X with the leading eigenvectors Q of X Xᵀ are the pseudo-rows. No other k
/// combinations are nearer to X. The largest element of an eigenvector is positive, so that equal matrices give equal
/// signs.
///
/// Source: DESIGN section 2.2, joint form.
public struct JointEigenvectors: ~Copyable, Sendable {
    /// Q, `[k, n]`: the eigenvector of the largest eigenvalue first.
    public let vectors: Matrix<Double>
    /// The share of the trace that the eigenvectors keep; 1 for a matrix of zeros.
    public let keptShare: Double
    /// ‖G − Q Λ Qᵀ‖ / ‖G‖ in the Frobenius norm; 0 for a matrix of zeros.
    public let relativeError: Double

    /// Decomposes a Gram matrix in fp64.
    ///
    /// - Parameters:
    ///   - gram: G, `[n, n]`, positive semi-definite up to rounding.
    ///   - rank: k, from 1 to n.
    /// - Throws: `LinearAlgebraError.nonFinite` for a matrix that is not finite, or an error of LAPACK.
    /// - Complexity: about 9 n³ multiply-adds.
    public init(of gram: borrowing PackedSymmetricMatrix<Double>, rank: Int) throws(LinearAlgebraError) {
        let order = gram.dimension
        guard (1...order).contains(rank) else { throw .invalidShape(rows: rank, columns: order) }
        if let row = gram.firstNonFiniteRow() { throw .nonFinite(row: row) }
        let eigen = try SymmetricEigen(decomposing: try gram.unpackedLower())
        var vectors = try Matrix<Double>(rows: rank, columns: order)
        for place in 0..<rank {
            let source = order - 1 - place
            var largest = 0.0
            for column in 0..<order where eigen.vectors[source, column].magnitude > largest.magnitude {
                largest = eigen.vectors[source, column]
            }
            let sign: Double = largest < 0 ? -1 : 1
            for column in 0..<order { vectors[place, column] = sign * eigen.vectors[source, column] }
        }
        // Rounding makes eigenvalues of 0 negative.
        let values = eigen.values.map { max(0, $0) }
        let (trace, square) = (values.reduce(0, +), values.reduce(0) { $0 + $1 * $1 })
        let rest = values.prefix(order - rank)
        keptShare = trace > 0 ? values.suffix(rank).reduce(0, +) / trace : 1
        relativeError = square > 0 ? (rest.reduce(0) { $0 + $1 * $1 } / square).squareRoot() : 0
        self.vectors = vectors
    }

    /// Bytes of the decomposition of a Gram matrix, with the matrix itself.
    public static func memoryBytes(rows: Int, rank: Int) -> UInt64 {
        let square = UInt64(rows).saturatingProduct(UInt64(rows))
        // The triangle in fp64, the square, LAPACK's workspace of two squares, and Q.
        return square.saturatingProduct(4 + 8 + 16).saturatingSum(
            UInt64(rows).saturatingProduct(UInt64(rank)).saturatingProduct(12))
    }

    /// Qᵀ c of one column of the rows.
    ///
    /// - Parameter column: One element for each row, n.
    /// - Returns: k elements.
    public borrowing func combination(of column: [Double]) -> [Double] {
        (0..<vectors.rowCount).map { row in
            column.indices.reduce(0) { $0 + vectors[row, $1] * column[$1] }
        }
    }
}
