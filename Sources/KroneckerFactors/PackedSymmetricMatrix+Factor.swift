import LinearAlgebra

extension PackedSymmetricMatrix where Scalar == Double {
    /// The matrix divided by a number, rounded once to fp32.
    borrowing func divided(by divisor: Double) throws(KroneckerFactorsError) -> PackedSymmetricMatrix<Float> {
        let shape = shape
        var factor = try carryingErrors { () throws(LinearAlgebraError) in
            try PackedSymmetricMatrix<Float>(shape: shape)
        }
        try factor.withMutableSpan { (destination: inout MutableSpan<Float>) throws(KroneckerFactorsError) in
            try withSpan { (sums: Span<Double>) throws(KroneckerFactorsError) in
                try PartialSums.normalize(sums, divisor: divisor, firstElement: 0, of: shape, into: &destination)
            }
        }
        return factor
    }

    /// The factor of captured rows: their sum divided by a number.
    ///
    /// - Parameters:
    ///   - divisor: From ``FactorNormalization/divisor(of:counts:)``.
    ///   - rowCount: The captured rows.
    ///   - columnCount: Elements of one captured row; the one of a bias cannot vanish.
    /// - Returns: The factor.
    /// - Throws: ``KroneckerFactorsError/exceedsStorage(row:)``, ``KroneckerFactorsError/linearAlgebra(_:)``, or
    ///   ``KroneckerFactorsError/squaresVanish(rows:largest:)`` for non-zero rows that vanish in fp32.
    borrowing func factor(
        dividedBy divisor: Double, rowCount: Int, columnCount: Int
    ) throws(KroneckerFactorsError) -> PackedSymmetricMatrix<Float> {
        let factor = try divided(by: divisor)
        // The division can also make a sum vanish.
        let largest = diagonal.prefix(columnCount).largest() ?? 0
        let stored = factor.diagonal.prefix(columnCount).largest() ?? 0
        guard largest == 0 || stored >= Float.leastNormalMagnitude else {
            throw .squaresVanish(rows: rowCount, largest: (largest / Double(rowCount)).squareRoot())
        }
        return factor
    }
}
