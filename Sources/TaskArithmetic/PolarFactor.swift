import LinearAlgebra

extension Matrix where Scalar == Double {
    /// The polar factor U Vᵀ of M = U S Vᵀ, restricted to the singular values above a share of the largest.
    ///
    /// The whole polar factor gives arbitrary directions to singular values of 0. A partial one is defined for every
    /// matrix, and is 0 for 0.
    ///
    /// - Parameter cut: The share.
    /// - Returns: The factor, of the shape of M, and the number of directions that it keeps.
    /// - Throws: The errors of `SingularValueDecomposition(decomposing:)`; the matrix is consumed.
    consuming func polarFactor(cut: Double = 1e-10) throws(LinearAlgebraError) -> PolarFactor {
        let (rows, columns) = (rowCount, columnCount)
        let parts = try SingularValueDecomposition(decomposing: self)
        let least = cut * (parts.values.first ?? 0)
        let kept = parts.values.count { $0 > least }
        let right = try parts.right.prefix(kept)
        let left = try parts.left.prefix(columns: kept)
        var factor = try Matrix<Double>(rows: rows, columns: columns)
        try factor.addProduct(left, .none, right)
        return PolarFactor(matrix: factor, rank: kept)
    }

    /// The first rows.
    borrowing func prefix(_ count: Int) throws(LinearAlgebraError) -> Matrix<Double> {
        var result = try Matrix<Double>(rows: count, columns: columnCount)
        withSpan { source in
            result.withMutableSpan { target in
                for index in target.indices { target[index] = source[index] }
            }
        }
        return result
    }

    /// The first columns.
    borrowing func prefix(columns count: Int) throws(LinearAlgebraError) -> Matrix<Double> {
        let width = columnCount
        var result = try Matrix<Double>(rows: rowCount, columns: count)
        withSpan { source in
            result.withMutableSpan { target in
                for index in target.indices { target[index] = source[index / count * width + index % count] }
            }
        }
        return result
    }
}

/// A partial polar factor.
struct PolarFactor: ~Copyable {
    /// U Vᵀ over the kept directions.
    let matrix: Matrix<Double>
    /// Their number.
    let rank: Int
}
