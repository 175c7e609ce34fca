import LinearAlgebra
import TestSupport
import Testing

@testable import KroneckerFactors

/// The weights of joint rows, and the eigenvectors of their Gram matrix, against closed forms.
struct JointEigenvectorsTests {
    @Test func `weights are shares of the largest, and at least one in ten thousand`() {
        #expect(JointWeights.means([[1, 2, 3], [3, 2, 0]]) == [2, 2, 1.5])
        #expect(JointWeights.means([]) == [])
        let weights = JointWeights(largestSquare: 4)
        #expect([4, 1, 0, 1e-12].map(weights.share) == [1, 0.5, 1e-4, 1e-4])
        #expect(weights.squaredShare(1) == 0.25)
        // Without any gradient there is nothing to weigh.
        #expect(JointWeights(largestSquare: 0).share(ofSquare: 0) == 0)
    }

    @Test func `the leading eigenvectors come first, with a positive largest element`() throws {
        // (3, 4)/5 has the eigenvalue 25, and (4, -3)/5 has 5.
        let gram = try PackedSymmetricMatrix<Double>(dimension: 2, elements: [12.2, 9.6, 17.8])
        let all = try JointEigenvectors(of: gram, rank: 2)
        expectClose(all.vectors.elements, [0.6, 0.8, 0.8, -0.6], absolute: 1e-14)
        expectClose([all.keptShare, all.relativeError], [1, 0], absolute: 1e-14)
        expectClose(all.combination(of: [1, 2]), [2.2, -0.4], absolute: 1e-14)
        let one = try JointEigenvectors(of: gram, rank: 1)
        expectClose(one.vectors.elements, [0.6, 0.8], absolute: 1e-14)
        expectClose([one.keptShare, one.relativeError], [25.0 / 30, (25.0 / 650).squareRoot()], absolute: 1e-14)
    }

    @Test func `a matrix of zeros is kept whole, and one that is not finite is refused`() throws {
        let zeros = try JointEigenvectors(of: try PackedSymmetricMatrix<Double>(dimension: 3), rank: 1)
        #expect(zeros.keptShare == 1 && zeros.relativeError == 0)
        let gram = try PackedSymmetricMatrix<Double>(dimension: 2, elements: [1, .nan, 1])
        do throws(LinearAlgebraError) {
            _ = try JointEigenvectors(of: gram, rank: 1)
            Issue.record("NaN was decomposed")
        } catch {
            #expect(error == .nonFinite(row: 1))
        }
        do throws(LinearAlgebraError) {
            _ = try JointEigenvectors(of: gram, rank: 3)
            Issue.record("more eigenvectors than rows were found")
        } catch {
            #expect(error == .invalidShape(rows: 3, columns: 2))
        }
    }

    /// Q is orthonormal, so the combinations of any rows never have a larger sum of outer products.
    @Test func `combinations hold at most what the rows hold`() throws {
        var random = SplitMix64(seed: 4)
        let rows = 9
        let values = random.values(rows * 4)
        var products: [Double] = []
        for row in 0..<rows {
            for other in 0...row {
                products.append((0..<4).reduce(0.0) { $0 + values[4 * row + $1] * values[4 * other + $1] })
            }
        }
        let gram = try PackedSymmetricMatrix<Double>(dimension: rows, elements: products)
        let eigenvectors = try JointEigenvectors(of: gram, rank: 4)
        expectClose([eigenvectors.keptShare], [1], absolute: 1e-12)
        let two = try JointEigenvectors(of: gram, rank: 2)
        func square(_ column: [Double]) -> Double { column.reduce(0.0) { $0 + $1 * $1 } }
        for column in 0..<4 {
            let own = (0..<rows).map { values[4 * $0 + column] }
            expectClose(square(eigenvectors.combination(of: own)), square(own), absolute: 1e-12)
            #expect(square(two.combination(of: own)) <= square(own) + 1e-12)
        }
    }
}
