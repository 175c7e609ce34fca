import TestSupport
import Testing

@testable import LinearAlgebra

struct GramDecompositionTests {
    /// Sizes whose longer side has several chunks and a rest, in both directions.
    @Test(arguments: [(1, 1), (1, 6), (6, 1), (9, 5), (5, 9), (12, 12), (1100, 6), (6, 1100), (512, 3)])
    func `well conditioned matrices are decomposed as by divide and conquer`(
        shape: (rows: Int, columns: Int)
    ) throws {
        var random = SplitMix64(seed: 5)
        let elements = random.values(shape.rows * shape.columns)
        let matrix = try Matrix<Double>(rows: shape.rows, columns: shape.columns, elements: elements)
        let gram = try SingularValueDecomposition(byGramMatrixOf: matrix)
        try expectDecomposition(gram, of: elements, tolerance: 1e-11)
        let exact = try SingularValueDecomposition(decomposing: matrix)
        expectClose(gram.values, exact.values, relative: 1e-12)
        expectClose(gram.left.elements, exact.left.elements, absolute: 1e-10)
        expectClose(gram.right.elements, exact.right.elements, absolute: 1e-10)
        // The computation with fp32 elements is in fp64.
        let single = try Matrix<Float>(
            rows: shape.rows, columns: shape.columns, elements: elements.map { Float($0) })
        let widened = try SingularValueDecomposition(byGramMatrixOf: single)
        #expect(widened.values == gram.values)
        #expect(widened.left.elements == gram.left.elements)
    }

    @Test func `values below the root of rounding are left out, and those above it are accurate`() throws {
        // √(3ε) = 2.6e-8 of the largest is the limit.
        let diagonal = try diagonal([3, 1e-5, 1e-9], rows: 7)
        let svd = try SingularValueDecomposition(byGramMatrixOf: diagonal)
        expectClose(svd.values, [3, 1e-5], relative: 1e-12)
        // A rank-one matrix with inexact elements.
        var elements: [Double] = []
        for row in 1...8 {
            for column in 2...6 { elements.append(Double(row) / 3 * Double(column) / 7) }
        }
        let matrix = try Matrix<Double>(rows: 8, columns: 5, elements: elements)
        let one = try SingularValueDecomposition(byGramMatrixOf: matrix)
        #expect(one.values.count == 1)
        try expectDecomposition(one, of: elements, tolerance: 1e-14)
    }

    @Test(arguments: [1e-200, 1e200, .leastNonzeroMagnitude, 1e308])
    func `extreme magnitudes neither vanish nor overflow`(magnitude: Double) throws {
        let svd = try SingularValueDecomposition(byGramMatrixOf: diagonal([magnitude, magnitude / 2], rows: 3))
        expectClose(svd.values, [magnitude, magnitude / 2].filter { $0 > 0 }, relative: 1e-14)
    }

    @Test func `only as many triplets as wanted are computed`() throws {
        let svd = try SingularValueDecomposition(byGramMatrixOf: diagonal([1, 4, 3, 2], rows: 6), rank: 2)
        expectClose(svd.values, [4, 3], relative: 1e-15)
        #expect(svd.left.rowCount == 6 && svd.left.columnCount == 2)
        #expect(svd.right.rowCount == 2 && svd.right.columnCount == 4)
        expectClose(svd.right.elements, [0, 1, 0, 0, 0, 0, 1, 0], absolute: 1e-15)
        let none = try SingularValueDecomposition(byGramMatrixOf: diagonal([1, 2], rows: 2), rank: 0)
        #expect(none.values.isEmpty)
    }

    @Test(arguments: [(4, 3), (3, 4), (0, 3), (3, 0)]) func `a matrix without values other than zero has none`(
        shape: (rows: Int, columns: Int)
    ) throws {
        let svd = try SingularValueDecomposition(
            byGramMatrixOf: Matrix<Double>(rows: shape.rows, columns: shape.columns))
        #expect(svd.values.isEmpty)
        #expect(svd.left.rowCount == shape.rows && svd.left.columnCount == 0)
        #expect(svd.right.rowCount == 0 && svd.right.columnCount == shape.columns)
    }

    @Test func `each step is told, no more of them than announced`() throws {
        var told: [ComputationProgress] = []
        _ = try SingularValueDecomposition(byGramMatrixOf: diagonal([1, 2], rows: 1100)) { progress in
            told.append(progress)
        }
        // Three chunks, the eigenvectors, three chunks.
        #expect(told == (1...7).map { ComputationProgress(step: $0, stepCount: 7) })
    }

    @Test(arguments: 1...7) func `whoever watches can end it after each step`(last: Int) throws {
        var steps = 0
        #expect(throws: LinearAlgebraError.cancelled) {
            _ = try SingularValueDecomposition(byGramMatrixOf: diagonal([1, 2], rows: 1100)) {
                progress throws(CancellationError) in
                steps = progress.step
                if progress.step == last { throw CancellationError() }
            }
        }
        #expect(steps == last)
    }

    private func diagonal(_ values: [Double], rows: Int) throws -> Matrix<Double> {
        var matrix = try Matrix<Double>(rows: rows, columns: values.count)
        for (index, value) in values.enumerated() { matrix[index, index] = value }
        return matrix
    }
}
