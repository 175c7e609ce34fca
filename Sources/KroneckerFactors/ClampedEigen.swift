import LinearAlgebra

/// A symmetric matrix as its eigenvectors and the reciprocals of its clamped and damped eigenvalues.
///
/// It is the last resort when no Cholesky factor exists.
struct ClampedEigen: ~Copyable, Sendable {
    /// `[n, n]`, rows q_k.
    let vectors: Matrix<Double>
    /// 1/(max(λ_k, 0) + ε), `[n]`.
    let reciprocals: [Double]

    /// The inverse, Σ q_k q_kᵀ · reciprocal, with both triangles.
    func inverse() throws(LinearAlgebraError) -> Matrix<Double> {
        let order = vectors.rowCount
        var weighted = try Matrix<Double>(rows: order, columns: order)
        vectors.withSpan { vectors in
            weighted.withMutableSpan { weighted in
                for row in 0..<order {
                    for index in row * order..<(row + 1) * order {
                        weighted[index] = vectors[index] * reciprocals[row]
                    }
                }
            }
        }
        var inverse = try Matrix<Double>(rows: order, columns: order)
        try inverse.addProduct(weighted, .transposed, vectors)
        return inverse
    }

    /// Applies the inverse in place.
    ///
    /// With rows q_k in V it is Vᵀ(D⁻¹(VX)) on the left, and ((XVᵀ)D⁻¹)V on the right.
    func solve(_ matrix: inout Matrix<Double>, on side: ProductSide) throws(LinearAlgebraError) {
        let (rows, columns) = (matrix.rowCount, matrix.columnCount)
        var rotated = try Matrix<Double>(rows: rows, columns: columns)
        if side == .left {
            try rotated.addProduct(vectors, .none, matrix)
        } else {
            try rotated.addProduct(matrix, .none, vectors, .transposed)
        }
        rotated.withMutableSpan { elements in
            for row in 0..<rows {
                for column in 0..<columns {
                    elements[row * columns + column] *= reciprocals[side == .left ? row : column]
                }
            }
        }
        var solution = try Matrix<Double>(rows: rows, columns: columns)
        if side == .left {
            try solution.addProduct(vectors, .transposed, rotated)
        } else {
            try solution.addProduct(rotated, .none, vectors)
        }
        matrix = solution
    }
}
