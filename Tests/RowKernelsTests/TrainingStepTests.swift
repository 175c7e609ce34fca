import Foundation
import RowKernels
import TestSupport
import Testing

/// The loss and the optimiser against fp64; the unit roundoff of fp32 is 6e-8.
struct TrainingStepTests {
    private func loss(_ row: [Double], label: Int) -> Double {
        let largest = row.max() ?? 0
        return largest + log(row.reduce(0) { $0 + exp($1 - largest) }) - row[label]
    }

    @Test(arguments: widths) func `the cross-entropy and its gradient are those of fp64`(columns: Int) {
        let rows = 5
        let scale = 1 / Double(rows)
        var random = SplitMix64(seed: 31)
        // A tempered cosine similarity: logits within ±20.
        var logits = random.buffer(rows * columns, bound: 20)
        let labels = (0..<rows).map { Int32(($0 * 7 + 2) % columns) }
        var (expectedLoss, gradient) = (0.0, [Double]())
        for (row, label) in labels.enumerated() {
            let values = logits.row(row, columns: columns)
            expectedLoss += loss(values, label: Int(label))
            let jacobian = Jacobian(of: { [loss($0, label: Int(label))] }, at: values)
            gradient += jacobian.transposedTimes([scale])
        }
        let found = RowKernels.crossEntropy(&logits, labels: labels, columns: columns, scale: Float(scale))
        expectClose(found, expectedLoss, relative: 1e-7)
        expectBuffer(logits, gradient, absolute: 1e-7)
    }

    @Test func `the cross-entropy of large logits is finite`() {
        var logits: [Float] = [1e4, 0, -1e4, 5e3, 5e3, 5e3]
        let found = RowKernels.crossEntropy(&logits, labels: [2, 0], columns: 3, scale: 1)
        expectClose(found, 2e4 + log(3), relative: 1e-7)
        expectClose(logits, [1, 0, -1, -2.0 / 3, 1.0 / 3, 1.0 / 3], absolute: 1e-7)
    }

    /// Algorithm 1 of Kingma & Ba 2015, for one number.
    private struct ScalarAdam {
        var value: Double
        private var mean = 0.0
        private var square = 0.0
        private var number = 0

        init(value: Double) { self.value = value }

        mutating func step(_ gradient: Double, learningRate: Double) {
            let (beta1, beta2, epsilon) = (0.9, 0.999, 1e-8)
            number += 1
            mean = beta1 * mean + (1 - beta1) * gradient
            square = beta2 * square + (1 - beta2) * gradient * gradient
            let correctedMean = mean / (1 - pow(beta1, Double(number)))
            let correctedSquare = square / (1 - pow(beta2, Double(number)))
            value -= learningRate * correctedMean / (correctedSquare.squareRoot() + epsilon)
        }
    }

    @Test(arguments: widths) func `steps of Adam follow the algorithm`(count: Int) {
        var random = SplitMix64(seed: 32)
        var values = random.values(count).map { Float(0.01 * $0) }
        var (mean, square) = ([Float](repeating: 0, count: count), [Float](repeating: 0, count: count))
        var expected = values.map { ScalarAdam(value: Double($0)) }
        for number in 1...12 {
            let learningRate = 0.01 / Double(number)
            // Three decades, so that ε and the corrections both matter.
            let gradient = random.values(count).enumerated().map { Float($1 * [1, 1e-3, 1e-6][$0 % 3]) }
            RowKernels.adamStep(
                &values, mean: &mean, square: &square, gradient: gradient,
                step: AdamStep(number: number, learningRate: learningRate))
            for index in 0..<count { expected[index].step(Double(gradient[index]), learningRate: learningRate) }
            // A step is at most about the learning rate: 1e-6 for the first.
            expectClose(values, expected.map(\.value), absolute: 1e-8)
        }
    }

    @Test func `without a gradient nothing moves`() {
        var values: [Float] = [1, -2, 3]
        var (mean, square): ([Float], [Float]) = ([0, 0, 0], [0, 0, 0])
        RowKernels.adamStep(
            &values, mean: &mean, square: &square, gradient: [0, 0, 0], step: AdamStep(number: 1, learningRate: 1))
        #expect(values == [1, -2, 3])
        #expect(mean == [0, 0, 0])
        #expect(square == [0, 0, 0])
    }

    @Test func `the first step is the learning rate against the gradient's sign`() {
        var values: [Float] = [0, 0]
        var (mean, square): ([Float], [Float]) = ([0, 0], [0, 0])
        RowKernels.adamStep(
            &values, mean: &mean, square: &square, gradient: [3, -0.25], step: AdamStep(number: 1, learningRate: 0.5))
        expectClose(values, [-0.5, 0.5] as [Double], relative: 1e-6)
    }
}
