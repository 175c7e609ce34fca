import LinearAlgebra
import TestSupport
import Testing

@testable import Laboratory

struct LeadingEigenvectorsTests {
    private static let dimension = 120

    /// A matrix with the eigenvalues 1, 1/2, 1/4, … on directions of a Householder reflection.
    private static func matrix() -> (elements: [Float], vectors: [[Double]]) {
        var random = SplitMix64(seed: 3)
        let normal = random.values(dimension)
        let square = normal.reduce(0) { $0 + $1 * $1 }
        let vectors = (0..<dimension).map { row in
            (0..<dimension).map { (row == $0 ? 1 : 0) - 2 * normal[row] * normal[$0] / square }
        }
        var elements = [Double](repeating: 0, count: dimension * dimension)
        for (order, vector) in vectors.enumerated() {
            let value = order < 40 ? 1 / Double(1 << order) : 0
            for row in 0..<dimension {
                for column in 0..<dimension {
                    elements[row * dimension + column] += value * vector[row] * vector[column]
                }
            }
        }
        return (elements.map { Float($0) }, vectors)
    }

    @Test(arguments: [1024, 8])
    func `the leading eigenvectors come first, whole or by a random subspace`(wholeDimension: Int) throws {
        let (matrix, vectors) = Self.matrix()
        let found = try LeadingEigenvectors(
            of: matrix, dimension: Self.dimension, rank: 6, wholeDimension: wholeDimension)
        #expect(found.count == 6 && found.rows.count == 6 * Self.dimension)
        for order in 0..<6 {
            let row = found.rows[order * Self.dimension..<(order + 1) * Self.dimension]
            let product = zip(row, vectors[order]).reduce(0) { $0 + Double($1.0) * $1.1 }
            expectClose(product.magnitude, 1, absolute: 1e-5)
        }
    }

    @Test func `the rows are orthonormal even where the matrix has no rank left`() throws {
        let (matrix, _) = Self.matrix()
        let found = try LeadingEigenvectors(of: matrix, dimension: Self.dimension, rank: 41, wholeDimension: 8)
        for first in 0..<found.count {
            for second in 0...first {
                let product = (0..<Self.dimension).reduce(0.0) {
                    $0 + Double(found.rows[first * Self.dimension + $1])
                        * Double(found.rows[second * Self.dimension + $1])
                }
                expectClose(product, first == second ? 1 : 0, absolute: 1e-5)
            }
        }
    }

    @Test func `a rank above the dimension gives every eigenvector`() throws {
        let found = try LeadingEigenvectors(of: [2, 0, 0, 5], dimension: 2, rank: 7)
        #expect(found.count == 2)
        #expect(found.rows.map(\.magnitude) == [0, 1, 1, 0])
    }

    @Test func `a matrix that is not finite is refused`() {
        let found = message { () throws(LinearAlgebraError) in
            _ = try LeadingEigenvectors(of: [1, 0, .infinity, 1], dimension: 2, rank: 1)
        }
        #expect(found == "row 1 holds NaN or infinity; expected finite values.")
    }
}
