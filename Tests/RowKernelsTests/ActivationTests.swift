import Foundation
import RowKernels
import TestSupport
import Testing

/// The quick GELU and the softmax against fp64; the unit roundoff of fp32 is 6e-8.
struct ActivationTests {
    private func sigmoid(_ value: Double) -> Double { 1 / (1 + exp(-value)) }
    private func quickGELU(_ value: Double) -> Double { value * sigmoid(1.702 * value) }

    private func softmax(_ row: [Double]) -> [Double] {
        let largest = row.max() ?? 0
        let grown = row.map { exp($0 - largest) }
        let sum = grown.reduce(0, +)
        return grown.map { $0 / sum }
    }

    // For a negative argument x the relative error of the exponential is that of x times |x|, but its value is small.
    @Test(arguments: widths) func `the quick GELU and its slope are u σ(1.702 u) and its derivative`(count: Int) {
        var random = SplitMix64(seed: 1)
        let input = random.buffer(count, bound: 8)
        var (output, slope) = (random.buffer(count), random.buffer(count))
        RowKernels.quickGELU(input, output: &output, slope: &slope, count: count)
        expectBuffer(output, input.wide.map(quickGELU), relative: 3e-7, absolute: 3e-7)
        let derivatives = input.wide.map { value in
            Jacobian(of: { $0.map(quickGELU) }, at: [value]).times([1])[0]
        }
        expectBuffer(slope, derivatives, relative: 3e-7, absolute: 6e-7)
    }

    @Test func `the quick GELU of far values is 0 or the value itself`() {
        let input: [Float] = [100, -100, 60, -60, 1e4, -1e4, 0, -0.0, 3e38, -3e38]
        var (output, slope) = (input, input)
        RowKernels.quickGELU(input, output: &output, slope: &slope, count: 8)
        #expect(Array(output[0..<8]).allSatisfy { $0.isFinite })
        expectClose(Array(output[0..<8]), [100, 0, 60, 0, 1e4, 0, 0, 0] as [Double], absolute: 1e-30)
        expectClose(Array(slope[0..<8]), [1, 0, 1, 0, 1, 0, 0.5, 0.5] as [Double], absolute: 1e-30)
    }

    @Test func `the quick GELU lets no NaN vanish`() {
        let input: [Float] = [1, .nan, 2]
        var (output, slope) = (input, input)
        RowKernels.quickGELU(input, output: &output, slope: &slope, count: 3)
        #expect(output.map(\.isNaN) == [false, true, false])
        #expect(slope.map(\.isNaN) == [false, true, false])
    }

    @Test(arguments: widths) func `the softmax of rows is that of fp64`(columns: Int) {
        let rows = 5
        var random = SplitMix64(seed: 2)
        var matrix = random.buffer(rows * columns, bound: 6)
        let expected = (0..<rows).flatMap { softmax(matrix.row($0, columns: columns)) }
        RowKernels.softmax(&matrix, rows: rows, columns: columns)
        // Arguments reach −12. Their rounding error, 5e-7, is the relative error of the exponential.
        expectBuffer(matrix, expected, relative: 1.5e-6)
    }

    @Test(arguments: widths) func `the softmax of large values neither overflows nor loses digits`(columns: Int) {
        var random = SplitMix64(seed: 3)
        // Whole numbers near 2^23 are exact, and so are their differences.
        let low = random.values(columns).map { ($0 * 6).rounded() }
        var matrix = (low + low).enumerated().map { Float($1 + ($0 < columns ? 8e6 : -8e6)) }
        RowKernels.softmax(&matrix, rows: 2, columns: columns)
        expectClose(matrix, softmax(low) + softmax(low), relative: 5e-7)
    }

    @Test(arguments: widths) func `equal values have equal probabilities`(columns: Int) {
        for value: Float in [0, -1e30, 1e30, 17.3] {
            var row = [Float](repeating: value, count: columns)
            RowKernels.softmax(&row, rows: 1, columns: columns)
            #expect(row == [Float](repeating: 1 / Float(columns), count: columns))
        }
    }

    @Test func `a value far below the largest has no probability`() {
        var row: [Float] = [0, -200, -1e30, 0]
        RowKernels.softmax(&row, rows: 1, columns: 4)
        expectClose(row, [0.5, 0, 0, 0.5] as [Double], absolute: 1e-37)
    }

    @Test(arguments: widths) func `the softmax's derivative is its Jacobian and the transpose`(columns: Int) {
        let rows = 5
        var random = SplitMix64(seed: 4)
        let logits = random.buffer(rows * columns, bound: 2)
        let vectors = random.buffer(rows * columns)
        var probabilities = logits
        RowKernels.softmax(&probabilities, rows: rows, columns: columns)
        var found = vectors
        RowKernels.softmaxDerivative(probabilities, of: &found, rows: rows, columns: columns)
        var (products, transposed): ([Double], [Double]) = ([], [])
        for row in 0..<rows {
            let jacobian = Jacobian(of: softmax, at: logits.row(row, columns: columns))
            products += jacobian.times(vectors.row(row, columns: columns))
            transposed += jacobian.transposedTimes(vectors.row(row, columns: columns))
        }
        expectBuffer(found, products, absolute: 1e-7)
        expectBuffer(found, transposed, absolute: 1e-7)
    }
}
