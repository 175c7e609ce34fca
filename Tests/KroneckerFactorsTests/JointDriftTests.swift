import LinearAlgebra
import TestSupport
import Testing

@testable import KroneckerFactors

/// A task vector against pseudo-rows, against sums over rows and positions in fp64.
struct JointDriftTests {
    private static let (outputs, inputs, positions) = (3, 5, 2)
    private static let (inputRank, gradientRank) = (3, 4)

    private let delta: [Double]
    private let inputRows: [Double]
    private let gradientRows: [Double]

    init() {
        var random = SplitMix64(seed: 4)
        delta = random.values(Self.outputs * Self.inputs)
        inputRows = random.values(Self.inputRank * Self.positions * Self.inputs)
        gradientRows = random.values(Self.gradientRank * Self.positions * Self.outputs)
    }

    /// vᵀ Δ u of one position of a gradient row, and one of an input row.
    private func value(_ gradient: Int, _ input: Int) -> Double {
        (0..<Self.outputs).reduce(0) { sum, row in
            let image = (0..<Self.inputs).reduce(0) {
                $0 + delta[row * Self.inputs + $1] * inputRows[input * Self.inputs + $1]
            }
            return sum + gradientRows[gradient * Self.outputs + row] * image
        }
    }

    private func drift(measuresInside: Bool) throws -> JointDrift {
        try JointDrift(
            of: try Matrix(rows: Self.outputs, columns: Self.inputs, elements: delta), inputRank: Self.inputRank,
            positions: Self.positions, measuresInside: measuresInside)
    }

    private func rows(_ values: [Double], _ range: Range<Int>, width: Int) throws -> Matrix<Double> {
        let elements = range.lowerBound * Self.positions * width..<range.upperBound * Self.positions * width
        return try Matrix(rows: range.count * Self.positions, columns: width, elements: Array(values[elements]))
    }

    @Test(arguments: [true, false]) func `the part of X is a sum over positions, whatever the chunks`(
        measuresInside: Bool
    ) throws {
        var expected: [Double] = []
        for gradient in 0..<Self.gradientRank {
            for input in 0..<Self.inputRank {
                let terms = (0..<Self.positions).map {
                    value(gradient * Self.positions + $0, input * Self.positions + $0)
                }
                expected.append(terms.reduce(0, +))
            }
        }
        var whole = try drift(measuresInside: measuresInside)
        try whole.add(inputs: try rows(inputRows, 0..<Self.inputRank, width: Self.inputs))
        let all = try whole.products(with: try rows(gradientRows, 0..<Self.gradientRank, width: Self.outputs))
        expectClose(all.elements, expected, absolute: 1e-13)
        var parts = try drift(measuresInside: measuresInside)
        for row in 0..<Self.inputRank {
            try parts.add(inputs: try rows(inputRows, row..<row + 1, width: Self.inputs))
        }
        var found: [Double] = []
        for range in [0..<3, 3..<4] {
            found += try parts.products(with: try rows(gradientRows, range, width: Self.outputs)).elements
        }
        expectClose(found, expected, absolute: 1e-13)
    }

    @Test func `what is inside is a sum over all pairs of positions`() throws {
        var drift = try drift(measuresInside: true)
        try drift.add(inputs: try rows(inputRows, 0..<Self.inputRank, width: Self.inputs))
        for row in 0..<Self.gradientRank {
            _ = try drift.products(with: try rows(gradientRows, row..<row + 1, width: Self.outputs))
        }
        var expected = 0.0
        for gradient in 0..<Self.gradientRank * Self.positions {
            for input in 0..<Self.inputRank * Self.positions {
                expected += value(gradient, input) * value(gradient, input)
            }
        }
        expectClose(try drift.insidePenalty(), expected / Double(Self.positions), relative: 1e-13)
    }

    @Test func `rows of another length are refused`() throws {
        var drift = try drift(measuresInside: false)
        do throws(LinearAlgebraError) {
            try drift.add(inputs: try Matrix(rows: 2, columns: 4))
            Issue.record("rows of another length were multiplied")
        } catch {
            #expect(error == .lengthMismatch(buffer: "the right factor's side", expected: 4, found: 5))
        }
        do throws(LinearAlgebraError) {
            _ = try drift.products(with: try Matrix(rows: 2, columns: 4))
            Issue.record("rows of another length were multiplied")
        } catch {
            #expect(error == .lengthMismatch(buffer: "the reshaped matrix", expected: 6, found: 8))
        }
    }
}
