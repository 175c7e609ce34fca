import KroneckerFactors
import LinearAlgebra
import TestSupport
import Testing

/// Factors of which only the diagonal is kept, against the whole matrices.
struct DiagonalFactorTests {
    private func rows(_ count: Int, _ columns: Int, seed: UInt64) -> [[Double]] {
        var random = SplitMix64(seed: seed)
        return (0..<count).map { _ in random.values(columns) }
    }

    private func diagonal(
        of rows: [[Double]], divisor: Double, appendsOne: Bool, reduction: PositionReduction, chunk: Int
    ) throws -> [Float] {
        let matrix = try Matrix<Float>(
            rows: rows.count, columns: rows[0].count, elements: rows.flatMap { $0 }.map { Float($0) })
        var sum = try DiagonalAccumulation(columnCount: rows[0].count, appendsOne: appendsOne, reduction: reduction)
        for first in stride(from: 0, to: rows.count, by: chunk) {
            try sum.add(rows: first..<min(first + chunk, rows.count), of: matrix)
        }
        return try sum.finish(divisor: divisor).elements
    }

    @Test(arguments: [PositionReduction.none, .mean(positions: 4), .sum(positions: 4)], [false, true])
    func `the sum of squares is the diagonal of the sum of outer products`(
        reduction: PositionReduction, appendsOne: Bool
    ) throws {
        let rows = rows(24, 5, seed: 1)
        let whole = try factor(of: rows, divisor: 7, appendsOne: appendsOne, reduction: reduction)
        let found = try diagonal(of: rows, divisor: 7, appendsOne: appendsOne, reduction: reduction, chunk: 8)
        for (value, expected) in zip(found, whole.diagonal) { #expect(abs(value - expected) <= 1e-6 * expected) }
        #expect(found.count == whole.dimension)
        // The order of the sums does not depend on the chunks.
        #expect(try diagonal(of: rows, divisor: 7, appendsOne: appendsOne, reduction: reduction, chunk: 4) == found)
    }

    @Test func `rows that are not finite are named, and rows whose squares vanish are refused`() throws {
        var rows = rows(6, 3, seed: 2)
        rows[4][1] = .infinity
        #expect(throws: KroneckerFactorsError.nonFinite(row: 4)) {
            try diagonal(of: rows, divisor: 1, appendsOne: false, reduction: .none, chunk: 2)
        }
        #expect(throws: KroneckerFactorsError.self) {
            try diagonal(of: [[1e-30]], divisor: 1, appendsOne: false, reduction: .none, chunk: 1)
        }
    }

    @Test(arguments: [false, true])
    func `indices count as one-hot rows`(averages: Bool) throws {
        let (samples, positions, count) = (5, 3, 4)
        let indices = (0..<samples * positions).map { ($0 * 7 + $0 / 3) % count }
        let oneHot = indices.map { index in (0..<count).map { $0 == index ? 1.0 : 0 } }
        var sum = try IndexAccumulation(indexCount: count, averagesSamples: averages)
        for (row, index) in indices.enumerated() {
            if row.isMultiple(of: positions) { sum.endSample() }
            sum.add(index)
        }
        let whole = try factor(of: oneHot, divisor: 15, reduction: averages ? .mean(positions: positions) : .none)
        let found = try sum.finish(divisor: 15)
        #expect(found.shape == .diagonal(count))
        for (value, expected) in zip(found.elements, whole.diagonal) { #expect(abs(value - expected) < 1e-6) }
    }

    private func diagonal(_ values: [Float]) throws -> PackedSymmetricMatrix<Float> {
        try PackedSymmetricMatrix(shape: .diagonal(values.count), elements: values)
    }

    private func whole(_ values: [Float]) throws -> PackedSymmetricMatrix<Float> {
        var whole = try PackedSymmetricMatrix<Float>(dimension: values.count)
        for (index, value) in values.enumerated() { whole[index, index] = value }
        return whole
    }

    private func matrix(_ rows: Int, _ columns: Int, seed: UInt64) throws -> Matrix<Double> {
        try Matrix<Double>(
            rows: rows, columns: columns, elements: self.rows(rows, columns, seed: seed).flatMap { $0 })
    }

    @Test(arguments: [0, 0.25])
    func `the inverse of a diagonal is that of the matrix, with the same pinned coordinates`(damping: Double) throws {
        let values: [Float] = [4, 0, 0.5, 1e-3, 2]
        let found = try DampedInverse(of: try diagonal(values), damping: damping)
        let expected = try DampedInverse(of: try whole(values), damping: damping)
        for (value, wanted) in zip(found.inverse.elements, expected.inverse.diagonal) {
            #expect(abs(value - wanted) <= 1e-6 * abs(wanted))
        }
        #expect(found.inverse.shape == .diagonal(5))
        #expect(found.health.pinnedCount == 1 && found.health.damping == expected.health.damping)
        #expect(found.health.remedy == .none)
        let rank = try #require(expected.health.rankEstimate)
        #expect(abs(try #require(found.health.rankEstimate) - rank) < 1e-6)

        var left = try matrix(5, 3, seed: 3)
        var right = try matrix(5, 3, seed: 3)
        try DampedFactorization(of: try diagonal(values), damping: damping).solve(&left, on: .left)
        try DampedFactorization(of: try whole(values), damping: damping).solve(&right, on: .left)
        for (value, wanted) in zip(left.elements, right.elements) { #expect(abs(value - wanted) <= 1e-9 * abs(wanted)) }
    }

    @Test func `a penalty under a diagonal is that under the matrix`() throws {
        let values: [Float] = [3, 1, 0.5, 0.25]
        let diagonal = try diagonal(values)
        let whole = try whole(values)
        let gradient = try randomFactor(3, seed: 4)
        let delta = try matrix(3, 4, seed: 5)
        let found = try KroneckerPenalty(inputFactor: diagonal, gradientFactor: gradient)
        let expected = try KroneckerPenalty(inputFactor: whole, gradientFactor: gradient)
        let (value, wanted) = (try found.value(of: delta), try expected.value(of: delta))
        #expect(abs(value - wanted) < 1e-12 * wanted)
        let transposed = try matrix(4, 3, seed: 6)
        let left = try KroneckerPenalty(inputFactor: gradient, gradientFactor: diagonal).gradient(at: transposed)
        let right = try KroneckerPenalty(inputFactor: gradient, gradientFactor: whole).gradient(at: transposed)
        for (value, wanted) in zip(left.elements, right.elements) { #expect(abs(value - wanted) < 1e-12) }
    }

    /// The best product is the leading singular pair of Σ vec(B_u) vec(A_u)ᵀ; any other is farther away.
    @Test func `uses are summed to the nearest product, with a trace of 1 on the side of A`() throws {
        let inputs = [[0.5, 0.25, 0.25, 0], [0.02, 0.03, 0.01, 0.04]]
        let gradients = try (0..<2).map { try randomFactor(2, seed: 20 + UInt64($0)).elements }
        let squares = try (0..<2).map {
            square(try PackedSymmetricMatrix<Float>(dimension: 2, elements: gradients[$0]))
        }
        func products(_ values: [[Float]], _ shape: SymmetricShape) throws -> FactorInnerProducts {
            var products = FactorInnerProducts(taskCount: 2)
            for first in 0..<2 {
                for second in 0...first {
                    let (left, right) = (values[first], values[second])
                    try products.add(
                        left.span, right.span, tasks: first, second, firstElement: 0, of: shape)
                }
            }
            return products
        }
        let single = inputs.map { $0.map { Float($0) } }
        let sum = try SummedUses(
            gradients: try products(gradients, .full(2)), inputs: try products(single, .diagonal(4)),
            inputTraces: inputs.map { $0.reduce(0, +) })
        func combination(_ values: [[Double]], _ coefficients: [Double]) -> [Double] {
            values[0].indices.map { index in coefficients[0] * values[0][index] + coefficients[1] * values[1][index] }
        }
        let (a, b) = (
            combination(inputs, sum.inputCoefficients), combination(squares, sum.gradientCoefficients)
        )
        #expect(abs(a.reduce(0, +) - 1) < 1e-6)
        func distance(_ a: [Double], _ b: [Double]) -> Double {
            var (missed, whole) = (0.0, 0.0)
            for row in b.indices {
                for column in a.indices {
                    let exact = (0..<2).reduce(0) { $0 + squares[$1][row] * inputs[$1][column] }
                    missed += (exact - b[row] * a[column]) * (exact - b[row] * a[column])
                    whole += exact * exact
                }
            }
            return (missed / whole).squareRoot()
        }
        #expect(abs(distance(a, b) - sum.relativeError) < 1e-6)
        for use in 0..<2 {
            for scale in [0.5, 0.9, 1.1, 2] {
                #expect(distance(a, b.map { $0 * scale }) > sum.relativeError)
                #expect(distance(inputs[use], squares[use].map { $0 * scale }) > sum.relativeError)
            }
        }
    }
}
