/// Why a matrix is not a sum of squares, as every factor is.
public enum FactorFlaw: Error, Equatable, Sendable {
    /// An element is NaN or infinity.
    case nonFinite(row: Int, column: Int)
    /// The two triangles differ beyond rounding.
    case asymmetric(row: Int, column: Int, value: Double, mirrored: Double)
    /// A diagonal element is below 0.
    case negativeDiagonal(row: Int, value: Double)
    /// An eigenvalue is more negative than rounding explains.
    case indefinite(trace: Double)
}

extension FactorFlaw: CustomStringConvertible {
    /// What is wrong, what was expected, and what to do; the caller puts file and factor in front.
    public var description: String {
        switch self {
        case .nonFinite(let row, let column):
            "row \(row) holds NaN or infinity, first in column \(column); expected finite values. Compute the factor again."
        case .asymmetric(let row, let column, let value, let mirrored):
            "is \(value) at (\(row), \(column)) but \(mirrored) at (\(column), \(row)); expected a symmetric matrix. Store "
                + "both triangles, or compute the factor again."
        case .negativeDiagonal(let row, let value):
            "the diagonal element of row \(row) is \(value); expected a sum of squares, which is never negative. Compute "
                + "the factor again."
        case .indefinite(let trace):
            "has an eigenvalue below −\(SemidefiniteCheck.eigenvalueTolerance) of its trace (\(trace)); expected a positive "
                + "semi-definite matrix. Compute the factor again, in fp32 or wider, or set its negative eigenvalues to "
                + "zero."
        }
    }
}

/// Checks whether a matrix is a factor: finite, symmetric, and without eigenvalues that are negative beyond rounding.
///
/// The last check is one Cholesky factorization of M + ε·tr(M)·I, which exists if no eigenvalue is below −ε·tr(M).
public enum SemidefiniteCheck {
    /// ε: far above the rounding of fp32 sums (6e-8), far below the mean eigenvalue of any layer's factor.
    public static let eigenvalueTolerance = 1.0e-5
    /// The largest difference of mirrored elements, relative to the larger one; other programs sum the two in different
    /// orders.
    private static let symmetryTolerance = 1.0e-3
    /// The same relative to √(m_rr · m_cc).
    ///
    /// Against this scale rounding is small even when the element is near 0.
    private static let symmetryFloor = 1.0e-5
    /// The side of the tiles in which the triangles are compared; two tiles stay in the first-level cache.
    private static let tile = 32

    /// Finds the first flaw.
    ///
    /// - Parameters:
    ///   - square: `[n, n]`; its memory is overwritten.
    ///   - readsBothTriangles: False for a matrix whose upper triangle was never stored.
    /// - Returns: The flaw, or nil.
    /// - Throws: ``LinearAlgebraError`` when the matrix is not square, or too large for the BLAS.
    /// - Complexity: n³/3 multiply-adds.
    public static func flaw(
        in square: consuming Matrix<Double>, readsBothTriangles: Bool
    ) throws(LinearAlgebraError) -> FactorFlaw? {
        let order = square.rowCount
        guard order == square.columnCount else {
            throw .invalidShape(rows: square.rowCount, columns: square.columnCount)
        }
        if let flaw = nonFinite(square, readsBothTriangles) ?? negativeDiagonal(square) { return flaw }
        if readsBothTriangles, let flaw = asymmetry(square) { return flaw }
        let trace = trace(square)
        guard trace > 0 else {
            // A semi-definite matrix with a zero diagonal is zero.
            return isZero(square) ? nil : .indefinite(trace: trace)
        }
        for row in 0..<order { square[row, row] += eigenvalueTolerance * trace }
        do {
            _ = try CholeskyFactor(factorizing: square)
            return nil
        } catch .notPositiveDefinite {
            return .indefinite(trace: trace)
        }
    }

    /// Finds the first flaw of a diagonal factor: an element that is not finite, or is negative.
    public static func flaw(inDiagonal diagonal: Span<Double>) -> FactorFlaw? {
        for index in diagonal.indices {
            if !diagonal[index].isFinite { return .nonFinite(row: index, column: index) }
            if diagonal[index] < 0 { return .negativeDiagonal(row: index, value: diagonal[index]) }
        }
        return nil
    }

    private static func trace(_ square: borrowing Matrix<Double>) -> Double {
        var trace = 0.0
        for row in 0..<square.rowCount { trace += square[row, row] }
        return trace
    }

    private static func negativeDiagonal(_ square: borrowing Matrix<Double>) -> FactorFlaw? {
        for row in 0..<square.rowCount where square[row, row] < 0 {
            return .negativeDiagonal(row: row, value: square[row, row])
        }
        return nil
    }

    private static func isZero(_ square: borrowing Matrix<Double>) -> Bool {
        for row in 0..<square.rowCount {
            for column in 0...row where square[row, column] != 0 { return false }
        }
        return true
    }

    private static func nonFinite(_ square: borrowing Matrix<Double>, _ readsBothTriangles: Bool) -> FactorFlaw? {
        let order = square.rowCount
        return square.withBytes { bytes in
            for row in 0..<order {
                let first = row * order * 8
                let count = readsBothTriangles ? order : row + 1
                if let column = ElementType.f64.firstNonFinite(in: bytes.extracting(first..<first + count * 8)) {
                    return .nonFinite(row: row, column: column)
                }
            }
            return nil
        }
    }

    private static func asymmetry(_ square: borrowing Matrix<Double>) -> FactorFlaw? {
        let order = square.rowCount
        return square.withSpan { elements in
            for rows in stride(from: 0, to: order, by: tile) {
                for columns in stride(from: 0, through: rows, by: tile) {
                    for row in rows..<min(rows + tile, order) {
                        for column in columns..<min(columns + tile, row) {
                            let (value, mirrored) = (elements[row * order + column], elements[column * order + row])
                            guard value != mirrored else { continue }
                            let scale = (elements[row * order + row] * elements[column * order + column]).squareRoot()
                            if differ(value, mirrored, scale: scale) {
                                return .asymmetric(row: row, column: column, value: value, mirrored: mirrored)
                            }
                        }
                    }
                }
            }
            return nil
        }
    }

    private static func differ(_ value: Double, _ mirrored: Double, scale: Double) -> Bool {
        let difference = (value - mirrored).magnitude
        let larger = value.magnitude > mirrored.magnitude ? value.magnitude : mirrored.magnitude
        return difference > symmetryTolerance * larger && difference > symmetryFloor * scale
    }
}
