import LinearAlgebra
import TestSupport
import Testing

@testable import KroneckerFactors

/// The image of joint products, and what rows hold of factors, against sums over rows and positions in fp64.
struct JointGradientTests {
    private static let (outputs, inputs, positions) = (3, 5, 2)
    private static let (inputRank, gradientRank) = (3, 4)

    private let products: [Double]
    private let delta: [Double]
    private let inputRows: [Double]
    private let gradientRows: [Double]

    init() {
        var random = SplitMix64(seed: 14)
        products = random.values(Self.inputRank * Self.gradientRank)
        delta = random.values(Self.outputs * Self.inputs)
        inputRows = random.values(Self.inputRank * Self.positions * Self.inputs)
        gradientRows = random.values(Self.gradientRank * Self.positions * Self.outputs)
    }

    private func rows(_ values: [Double], _ range: Range<Int>, width: Int) throws -> Matrix<Double> {
        let elements = range.lowerBound * Self.positions * width..<range.upperBound * Self.positions * width
        return try Matrix(rows: range.count * Self.positions, columns: width, elements: Array(values[elements]))
    }

    /// Σ over pairs of positions that `isIncluded` takes of factor · v uᵀ.
    private func sum(_ factor: (_ gradient: Int, _ input: Int) -> Double) -> [Double] {
        var sum = [Double](repeating: 0, count: Self.outputs * Self.inputs)
        for gradient in 0..<Self.gradientRank * Self.positions {
            for input in 0..<Self.inputRank * Self.positions {
                let factor = factor(gradient, input)
                for index in sum.indices {
                    sum[index] +=
                        factor * gradientRows[gradient * Self.outputs + index / Self.inputs]
                        * inputRows[input * Self.inputs + index % Self.inputs]
                }
            }
        }
        return sum
    }

    @Test(arguments: [1, 2, 4]) func `the image is a sum over rows and equal positions, whatever the chunks`(
        chunk: Int
    ) throws {
        let expected = sum { gradient, input in
            guard gradient % Self.positions == input % Self.positions else { return 0 }
            return 0.5 * products[gradient / Self.positions * Self.inputRank + input / Self.positions]
        }
        var image = try JointGradient(
            outputs: Self.outputs, inputRank: Self.inputRank, positions: Self.positions)
        for first in stride(from: 0, to: Self.gradientRank, by: chunk) {
            let range = first..<min(first + chunk, Self.gradientRank)
            let own = products[range.lowerBound * Self.inputRank..<range.upperBound * Self.inputRank]
            try image.add(
                gradients: try rows(gradientRows, range, width: Self.outputs),
                products: try Matrix(rows: range.count, columns: Self.inputRank, elements: Array(own)))
        }
        var found = try Matrix<Double>(rows: Self.outputs, columns: Self.inputs)
        for first in stride(from: 0, to: Self.inputRank, by: chunk) {
            let range = first..<min(first + chunk, Self.inputRank)
            try image.add(inputs: try rows(inputRows, range, width: Self.inputs), to: &found, scale: 0.5)
        }
        expectClose(found.elements, expected, absolute: 1e-13)
    }

    @Test func `the image is the adjoint of the drift`() throws {
        var drift = try JointDrift(
            of: try Matrix(rows: Self.outputs, columns: Self.inputs, elements: delta), inputRank: Self.inputRank,
            positions: Self.positions, measuresInside: false)
        try drift.add(inputs: try rows(inputRows, 0..<Self.inputRank, width: Self.inputs))
        let drifts = try drift.products(with: try rows(gradientRows, 0..<Self.gradientRank, width: Self.outputs))
        let expected = sum { gradient, input in
            guard gradient % Self.positions == input % Self.positions else { return 0 }
            return products[gradient / Self.positions * Self.inputRank + input / Self.positions]
        }
        expectClose(
            zip(drifts.elements, products).reduce(0) { $0 + $1.0 * $1.1 },
            zip(delta, expected).reduce(0) { $0 + $1.0 * $1.1 }, relative: 1e-12)
    }

    @Test(arguments: [2.0, 3.5]) func `what rows hold is a sum over all pairs of positions`(divisor: Double) throws {
        let expected = sum { gradient, input in
            var drift = 0.0
            for index in delta.indices {
                drift +=
                    gradientRows[gradient * Self.outputs + index / Self.inputs] * delta[index]
                    * inputRows[input * Self.inputs + index % Self.inputs]
            }
            return -0.25 * drift / divisor
        }
        var held = try JointRowFactors(outputs: Self.outputs, inputs: Self.inputs)
        for row in 0..<Self.inputRank {
            try held.add(inputs: try rows(inputRows, row..<row + 1, width: Self.inputs))
        }
        try held.add(gradients: try rows(gradientRows, 0..<Self.gradientRank, width: Self.outputs))
        var found = try Matrix<Double>(rows: Self.outputs, columns: Self.inputs)
        try held.addImage(
            of: try Matrix(rows: Self.outputs, columns: Self.inputs, elements: delta), rowsPerSample: divisor,
            scale: -0.25, to: &found)
        expectClose(found.elements, expected, absolute: 1e-13)
    }
}
