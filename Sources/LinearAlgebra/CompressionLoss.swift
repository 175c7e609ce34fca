/// What a compressed matrix differs in from the exact one.
public struct CompressionLoss: Equatable, Sendable {
    /// ‖M − M'‖ / ‖M‖ in the Frobenius norm; 0 for two zero matrices.
    public var relativeError: Double
    /// The smallest eigenvalue of M'.
    public var smallestEigenvalue: Double
    /// The mean eigenvalue of M'.
    public var meanEigenvalue: Double
    /// What is added to the diagonal of M', and counts in the other numbers.
    public var shift: Double

    /// States what was measured.
    public init(relativeError: Double, smallestEigenvalue: Double, meanEigenvalue: Double, shift: Double = 0) {
        self.relativeError = relativeError
        self.smallestEigenvalue = smallestEigenvalue
        self.meanEigenvalue = meanEigenvalue
        self.shift = shift
    }

    /// Measures a decoded matrix.
    ///
    /// - Parameters:
    ///   - decoded: M'.
    ///   - exact: M, of the same dimension.
    ///   - repairs: Whether a negative eigenvalue beyond rounding is lifted to 0 by the smallest shift of the diagonal.
    ///     One for which ``SemidefiniteCheck`` would refuse the matrix always is.
    /// - Throws: ``LinearAlgebraError/nonFinite(row:)`` for a decoded matrix that is not finite, or an error of memory
    ///   or LAPACK.
    /// - Complexity: about 2n³/3 multiply-adds.
    public init(
        of decoded: borrowing PackedSymmetricMatrix<Double>, from exact: borrowing PackedSymmetricMatrix<Float>,
        repairs: Bool
    ) throws(LinearAlgebraError) {
        try decoded.requireShape(of: exact, "the exact matrix")
        if let row = decoded.firstNonFiniteRow() { throw .nonFinite(row: row) }
        let order = Double(decoded.dimension)
        let eigenvalues = try SymmetricEigenvalues.of(try decoded.unpackedLower())
        let smallest = eigenvalues.first ?? 0
        let norm = eigenvalues.reduce(0) { $0 + $1 * $1 }.squareRoot()
        // Rounding each element to fp32 moves no eigenvalue farther.
        let isIndefinite = smallest < -norm * Double(Float.ulpOfOne / 2)
        let isRefused = smallest < -SemidefiniteCheck.eigenvalueTolerance * decoded.trace
        shift = isIndefinite && (repairs || isRefused) ? -smallest : 0
        smallestEigenvalue = smallest + shift
        meanEigenvalue = decoded.trace / max(1, order) + shift
        relativeError = Self.relativeError(of: decoded, shift: shift, from: exact)
    }

    private static func relativeError(
        of decoded: borrowing PackedSymmetricMatrix<Double>, shift: Double,
        from exact: borrowing PackedSymmetricMatrix<Float>
    ) -> Double {
        let dimension = decoded.dimension
        var (difference, total) = (0.0, 0.0)
        decoded.withSpan { decoded in
            exact.withSpan { exact in
                for row in 0..<dimension {
                    let first = PackedTriangle.offset(ofRow: row)
                    for column in 0...row {
                        let value = Double(exact[first + column])
                        let found = decoded[first + column] + (column == row ? shift : 0)
                        // Elements off the diagonal stand for two.
                        let weight = column == row ? 1.0 : 2.0
                        difference += weight * (value - found) * (value - found)
                        total += weight * value * value
                    }
                }
            }
        }
        return difference == 0 ? 0 : (difference / total).squareRoot()
    }
}
