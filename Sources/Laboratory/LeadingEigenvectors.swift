import LinearAlgebra

/// Orthonormal eigenvectors of the largest eigenvalues of a positive semi-definite matrix, the largest first.
///
/// A large matrix is projected onto a random subspace, which a few products with the matrix turn towards the leading
/// eigenvectors. The projection is then decomposed exactly.
///
/// Source: Halko, Martinsson & Tropp 2011, Finding structure with randomness, algorithms 4.4 and 5.3.
struct LeadingEigenvectors: Sendable {
    /// The number of vectors: the rank, or the dimension if it is smaller.
    let count: Int
    /// `[count, dimension]`.
    let rows: [Float]

    /// The largest dimension that is decomposed whole.
    static let wholeDimension = 1024
    /// Directions of the random subspace beyond the rank.
    private static let oversampling = 16
    /// Products with the matrix.
    private static let iterationCount = 4

    /// Finds the vectors.
    ///
    /// - Parameters:
    ///   - matrix: `[dimension, dimension]`, symmetric.
    ///   - dimension: At least 1.
    ///   - rank: The most vectors, at least 1.
    ///   - wholeDimension: The largest dimension that is decomposed whole.
    /// - Throws: `LinearAlgebraError.nonFinite` for a matrix that is not finite, or an error of LAPACK.
    init(
        of matrix: [Float], dimension: Int, rank: Int, wholeDimension: Int = wholeDimension
    ) throws(LinearAlgebraError) {
        if let place = matrix.firstIndex(where: { !$0.isFinite }) { throw .nonFinite(row: place / dimension) }
        let whole = try Matrix<Double>(rows: dimension, columns: dimension, elements: matrix.map(Double.init))
        let size = rank + Self.oversampling
        count = min(rank, dimension)
        guard dimension > wholeDimension, 2 * size < dimension else {
            let eigen = try SymmetricEigen(decomposing: whole)
            rows = Self.last(count, of: eigen.vectors)
            return
        }
        var random = SeededRandom(seed: 0, purpose: "leading eigenvectors")
        let start = (0..<size * dimension).map { _ in random.nextNormal() }
        var basis = try Self.orthonormal(try Matrix(rows: size, columns: dimension, elements: start))
        for _ in 0..<Self.iterationCount {
            var product = try Matrix<Double>(rows: basis.rowCount, columns: dimension)
            try product.addProduct(basis, .none, whole)
            basis = try Self.orthonormal(product)
        }
        var product = try Matrix<Double>(rows: basis.rowCount, columns: dimension)
        try product.addProduct(basis, .none, whole)
        var projection = try Matrix<Double>(rows: basis.rowCount, columns: basis.rowCount)
        try projection.addProduct(product, .none, basis, .transposed)
        let eigen = try SymmetricEigen(decomposing: projection)
        var vectors = try Matrix<Double>(rows: basis.rowCount, columns: dimension)
        try vectors.addProduct(eigen.vectors, .none, basis)
        rows = Self.last(count, of: vectors)
    }

    /// The last rows, in reverse order.
    private static func last(_ count: Int, of vectors: borrowing Matrix<Double>) -> [Float] {
        let columns = vectors.columnCount
        let elements = vectors.elements
        return (1...count).flatMap { place in
            let start = (vectors.rowCount - place) * columns
            return elements[start..<start + columns].map { Float($0) }
        }
    }

    /// The rows of a thin singular value decomposition: an orthonormal basis of the same row space, or of a larger one.
    private static func orthonormal(_ rows: consuming Matrix<Double>) throws(LinearAlgebraError) -> Matrix<Double> {
        let decomposition = try SingularValueDecomposition(decomposing: rows)
        return try Matrix(
            rows: decomposition.right.rowCount, columns: decomposition.right.columnCount,
            elements: decomposition.right.elements)
    }
}
