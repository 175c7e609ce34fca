import KroneckerFactors
import LinearAlgebra
import TestSupport
import Testing

struct DampedInverseTests {
    private func diagonal(_ values: [Float]) throws -> PackedSymmetricMatrix<Float> {
        var matrix = try PackedSymmetricMatrix<Float>(dimension: values.count)
        for (row, value) in values.enumerated() { matrix[row, row] = value }
        return matrix
    }

    /// (M + εI)·inverse, which must be the identity.
    private func residual(
        _ matrix: borrowing PackedSymmetricMatrix<Float>,
        _ inverse: borrowing PackedSymmetricMatrix<Float>,
        damping: Double
    ) -> [Double] {
        let order = matrix.dimension
        let (left, right) = (square(matrix), square(inverse))
        return (0..<order * order).map { index in
            let (row, column) = (index / order, index % order)
            return (0..<order).reduce(0) { sum, k in
                sum + (left[row * order + k] + (k == row ? damping : 0)) * right[k * order + column]
            }
        }
    }

    private func identity(_ order: Int) -> [Double] {
        (0..<order * order).map { $0 / order == $0 % order ? 1 : 0 }
    }

    @Test(arguments: [1, 7, 40]) func `a positive definite factor is inverted at the first attempt`(
        order: Int
    ) throws {
        let matrix = try randomFactor(order, seed: UInt64(order))
        let before = matrix.elements
        let result = try DampedInverse(of: matrix, damping: 0.05)
        let health = result.health
        expectClose(residual(matrix, result.inverse, damping: 0.05), identity(order), absolute: 1e-5)
        #expect(matrix.elements == before)
        #expect(health.attempts == 1)
        #expect(health.remedy == .none)
        #expect(health.damping == 0.05)
        #expect(health.pinnedCount == 0)
    }

    @Test func `condition and rank estimate of a diagonal factor are exact`() throws {
        let health = try DampedInverse(of: diagonal([3, 1, 0.5]), damping: 0.5).health
        expectClose(health.conditionEstimate, 3.5, relative: 1e-6)
        expectClose(health.rankEstimate ?? .nan, 3 / 3.5 + 1 / 1.5 + 0.5, relative: 1e-6)
        expectClose(health.meanDiagonal, 1.5, relative: 1e-15)
    }

    @Test func `a zero diagonal holds the inverse of the damping, or zero without any`() throws {
        let damped = try DampedInverse(of: diagonal([2, 0, 4]), damping: 0.25)
        expectClose(damped.inverse.diagonal, [1 / 2.25, 4, 1 / 4.25], relative: 1e-7)
        let damage = damped.health
        #expect(damage.pinnedCount == 1)
        let undamped = try DampedInverse(of: diagonal([2, 0, 4]), damping: 0)
        #expect(undamped.inverse.elements == [0.5, 0, 0, 0, 0, 0.25])
        let health = undamped.health
        #expect(health.remedy == .none)
        #expect(health.rankEstimate == 2)
    }

    @Test func `a factor of zeros is all damping`() throws {
        #expect(try DampedInverse(of: diagonal([0, 0]), damping: 0.5).inverse.elements == [2, 0, 2])
        #expect(try DampedInverse(of: diagonal([0, 0]), damping: 0).inverse.elements == [0, 0, 0])
    }

    @Test func `a rank-deficient factor without damping climbs the ladder`() throws {
        // All ones, of rank 1.
        let matrix = try PackedSymmetricMatrix<Float>(dimension: 3, elements: [1, 1, 1, 1, 1, 1])
        let result = try DampedInverse(of: matrix, damping: 0)
        let health = result.health
        #expect(health.remedy == .raisedDamping)
        #expect(health.attempts == 2)
        expectClose(health.damping, 1e-7, relative: 1e-12)
        expectClose(health.rankEstimate ?? .nan, 1, absolute: 1e-3)
        let isFinite = result.inverse.elements.allSatisfy { $0.isFinite }
        #expect(isFinite)
    }

    @Test func `a slightly indefinite factor climbs until it is positive`() throws {
        // Eigenvalues 2 + 1e-4 and −1e-4.
        let matrix = try PackedSymmetricMatrix<Float>(dimension: 2, elements: [1, 1.0001, 1])
        let result = try DampedInverse(of: matrix, damping: 1e-6)
        let health = result.health
        #expect(health.remedy == .raisedDamping)
        expectClose(health.damping, 1e-3, relative: 1e-12)
        #expect(health.attempts == 4)
        expectClose(residual(matrix, result.inverse, damping: 1e-3), identity(2), absolute: 1e-3)
    }

    @Test func `an indefinite factor has its eigenvalues clamped at the end of the ladder`() throws {
        // Eigenvalues 3 and −1 with vectors (1, 1) and (1, −1).
        let matrix = try PackedSymmetricMatrix<Float>(dimension: 2, elements: [1, 2, 1])
        let result = try DampedInverse(of: matrix, damping: 0.01)
        let health = result.health
        #expect(health.remedy == .clampedEigenvalues)
        expectClose([health.smallestEigenvalue ?? .nan, health.largestEigenvalue ?? .nan], [-1, 3], absolute: 1e-6)
        let (low, high) = (1 / 0.01 / 2, 1 / 3.01 / 2)
        expectClose(result.inverse.elements, [high + low, high - low, high + low], relative: 1e-6)
    }

    @Test func `a negative definite matrix is clamped to its damping`() throws {
        let result = try DampedInverse(of: diagonal([-1, -2]), damping: 0.5)
        expectClose(result.inverse.elements, [2, 0, 2], absolute: 1e-6)
    }

    @Test(arguments: [[Float](arrayLiteral: 1, 0.5, 2, 0, 0, 0), [1, 2, 1, 0, 0, 0]])
    func `solving is multiplying with the inverse, on either side and on every path`(elements: [Float]) throws {
        // The last coordinate is pinned; the second matrix is indefinite and takes the eigenvalue path.
        let matrix = try PackedSymmetricMatrix<Float>(dimension: 3, elements: elements)
        let inverse = square(try DampedInverse(of: matrix, damping: 0.01).inverse)
        let factorization = try DampedFactorization(of: matrix, damping: 0.01)
        var left = try Matrix<Double>(rows: 3, columns: 3, elements: identity(3))
        var right = try Matrix<Double>(rows: 3, columns: 3, elements: identity(3))
        try factorization.solve(&left, on: .left)
        try factorization.solve(&right, on: .right)
        expectClose(left.elements, inverse, relative: 1e-6, absolute: 1e-6)
        expectClose(right.elements, inverse, relative: 1e-6, absolute: 1e-6)
    }
}
