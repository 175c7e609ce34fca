import LinearAlgebra
import TestSupport
import Testing

struct FactorizationTests {
    /// M_ij = min(i, j) + 1, whose inverse is tridiagonal: 2 (1 last), −1 beside it.
    private func minimumMatrix(_ order: Int) throws -> Matrix<Double> {
        var matrix = try Matrix<Double>(rows: order, columns: order)
        for row in 0..<order { for column in 0..<order { matrix[row, column] = Double(min(row, column) + 1) } }
        return matrix
    }

    @Test(arguments: [1, 2, 19, 70]) func `the inverse by Cholesky is the tridiagonal one`(order: Int) throws {
        let inverse = try CholeskyFactor(factorizing: minimumMatrix(order)).inverse()
        var (found, expected): ([Double], [Double]) = ([], [])
        for row in 0..<order {
            for column in 0...row {
                found.append(inverse[row, column])
                expected.append(row == column ? (row == order - 1 ? 1 : 2) : row == column + 1 ? -1 : 0)
            }
        }
        expectClose(found, expected, absolute: 1e-11)
    }

    @Test func `solving on either side undoes the product`() throws {
        var random = SplitMix64(seed: 7)
        let matrix = try minimumMatrix(6)
        let tall = try Matrix<Double>(rows: 6, columns: 4, elements: random.values(24))
        let wide = try Matrix<Double>(rows: 4, columns: 6, elements: random.values(24))
        var left = try Matrix<Double>(rows: 6, columns: 4)
        try left.addSymmetricProduct(matrix, on: .left, of: tall)
        var right = try Matrix<Double>(rows: 4, columns: 6)
        try right.addSymmetricProduct(matrix, on: .right, of: wide)
        let cholesky = try CholeskyFactor(factorizing: matrix)
        try cholesky.solve(&left, on: .left)
        try cholesky.solve(&right, on: .right)
        expectClose(left.elements, tall.elements, absolute: 1e-12)
        expectClose(right.elements, wide.elements, absolute: 1e-12)
    }

    @Test func `the failing leading minor is named`() throws {
        var matrix = try minimumMatrix(5)
        matrix[3, 3] = 0
        let elements = matrix.elements
        #expect(throws: LinearAlgebraError.notPositiveDefinite(minor: 4)) {
            _ = try CholeskyFactor(factorizing: Matrix(rows: 5, columns: 5, elements: elements))
        }
    }

    @Test func `the condition estimate of a diagonal matrix is its ratio`() throws {
        var matrix = try Matrix<Double>(rows: 3, columns: 3)
        for (row, value) in [1e-6, 1, 100].enumerated() { matrix[row, row] = value }
        expectClose(try CholeskyFactor(factorizing: matrix).reciprocalConditionEstimate(), 1e-8, relative: 1e-12)
    }

    /// The second difference matrix has the eigenvalues 2 − 2 cos(kπ/(n + 1)); their sum of squares and sum are known.
    @Test func `eigenvalues and vectors of the second difference matrix`() throws {
        let order = 23
        var matrix = try Matrix<Double>(rows: order, columns: order)
        for row in 0..<order {
            matrix[row, row] = 2
            if row > 0 { matrix[row, row - 1] = -1 }
        }
        let eigen = try SymmetricEigen(decomposing: matrix)
        // cos(kπ/24) for k = 8, 12, 16 is 1/2, 0, −1/2.
        expectClose([eigen.values[7], eigen.values[11], eigen.values[15]], [1, 2, 3], absolute: 1e-13)
        expectClose(eigen.values.reduce(0, +), 46, relative: 1e-13)
        // The twelfth vector, λ = 2: sin(iπ/2) up to sign and norm.
        let vector = (0..<order).map { eigen.vectors[11, $0] }
        let first = vector[0]
        expectClose(
            vector.map { $0 / first },
            (0..<order).map { [1, 0, -1, 0][$0 % 4] },
            absolute: 1e-11
        )
        var single = try Matrix<Float>(rows: 2, columns: 2, elements: [2, 0, 1, 2])
        single[0, 1] = .nan
        expectClose(try SymmetricEigen<Float>(decomposing: single).values, [1, 3], absolute: 1e-6)
    }
}
