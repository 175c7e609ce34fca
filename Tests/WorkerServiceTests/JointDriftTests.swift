import Identifiers
import LinearAlgebra
import TestSupport
import Testing
import UnitOperations
import WireProtocol

@testable import WorkerService

/// A task vector against the pseudo-rows of a block, and the penalty of all blocks, against sums in fp64.
@Suite(.timeLimit(.minutes(5)))
struct JointDriftTests {
    private static let (outputs, inputs, positions) = (3, 4, 2)
    private static let (inputRank, gradientRank) = (2, 5)

    private let inputRows: [Float]
    private let gradientRows: [Float]
    private let parameterRows: [Float]

    init() {
        var random = SplitMix64(seed: 21)
        inputRows = random.values(Self.inputRank * Self.positions * (Self.inputs + 1)).map { Float($0) }
        gradientRows = random.values(Self.gradientRank * Self.positions * Self.outputs).map { Float($0) }
        parameterRows = random.values(Self.gradientRank * 6).map { Float($0) }
    }

    private func layer(
        _ bench: Bench, _ models: BlockModels, isUnweighted: Bool = false, measuresInside: Bool = true
    ) throws -> BenchUnit {
        BenchUnit(
            JointDriftOperation(
                block: .linear(outputs: Self.outputs, inputs: Self.inputs, hasBias: true), base: models.sources[0],
                checkpoint: models.sources[3], isUnweighted: isUnweighted, inputRank: Self.inputRank,
                gradientRank: Self.gradientRank, positions: Self.positions, measuresInside: measuresInside),
            reading: [try bench.put(inputRows), try bench.put(gradientRows)], files: [3: models.file], about: "fc")
    }

    private func models(_ bench: Bench, flaw: Double? = nil, isWide: Bool = false) throws -> BlockModels {
        try BlockModels(
            bench, rows: Self.outputs, inputs: Self.inputs, hasBias: true, seed: 1, flaw: flaw, isWide: isWide)
    }

    /// vᵀ Δ u of one position of a gradient row, and one of an input row.
    private func value(_ delta: [Double], _ gradient: Int, _ input: Int) -> Double {
        let width = Self.inputs + 1
        return (0..<Self.outputs).reduce(0) { sum, row in
            let image = (0..<width).reduce(0) { $0 + delta[row * width + $1] * Double(inputRows[input * width + $1]) }
            return sum + Double(gradientRows[gradient * Self.outputs + row]) * image
        }
    }

    @Test func `a layer's part sums over positions, and it measures what is inside`() async throws {
        try await Bench.run { bench in
            let models = try models(bench)
            let result = try await bench.result(try layer(bench, models))
            let (delta, positions) = (models.vectors[2], Self.positions)
            var expected: [Double] = []
            for gradient in 0..<Self.gradientRank {
                for input in 0..<Self.inputRank {
                    let terms = (0..<positions).map {
                        value(delta, gradient * positions + $0, input * positions + $0)
                    }
                    expected.append(terms.reduce(0, +))
                }
            }
            expectClose(try bench.elements(result.blobs[0], of: Double.self), expected, absolute: 1e-12)
            var inside = 0.0
            for gradient in 0..<Self.gradientRank * positions {
                for input in 0..<Self.inputRank * positions {
                    let term = value(delta, gradient, input)
                    inside += term * term
                }
            }
            expectClose(
                try #require(result.measurements[.insidePenalty]), [inside / Double(Self.positions)], relative: 1e-12)
            let plain = try await bench.result(try layer(bench, models, measuresInside: false))
            #expect(plain.blobs == result.blobs && plain.measurements.isEmpty)
        }
    }

    @Test func `a parameter meets the constants of the input rows`() async throws {
        let constants = [0.5, -2]
        try await Bench.run { bench in
            let models = try BlockModels(bench, rows: 1, inputs: 6, hasBias: false, seed: 2)
            let unit = BenchUnit(
                JointDriftOperation(
                    block: .full(dimension: 6), base: models.sources[0], checkpoint: models.sources[1],
                    isUnweighted: false, inputRank: 2, gradientRank: Self.gradientRank, positions: 1,
                    measuresInside: true),
                reading: [try bench.put(parameterRows)], numbers: [constants], files: [3: models.file], about: "norm")
            let result = try await bench.result(unit)
            let delta = models.vectors[0]
            var expected: [Double] = []
            for gradient in 0..<Self.gradientRank {
                let product = (0..<6).reduce(0.0) { $0 + Double(parameterRows[gradient * 6 + $1]) * delta[$1] }
                expected += constants.map { $0 * product }
            }
            expectClose(try bench.elements(result.blobs[0], of: Double.self), expected, absolute: 1e-12)
            expectClose(
                try #require(result.measurements[.insidePenalty]), [expected.reduce(0) { $0 + $1 * $1 }],
                relative: 1e-12)
        }
    }

    @Test func `the shares of all parts sum to the squares of their sum`() async throws {
        try await Bench.run { bench in
            let (one, other): ([Double], [Double]) = ([1, 2, 3, 4, 5, 6], [-3, 0, 0, 1, 0, 0.5])
            let operation = JointPenaltyOperation(partCount: 2, inputRank: 3, gradientRank: 2)
            let result = try await bench.result(
                BenchUnit(operation, reading: [try bench.put(one), try bench.put(other)]))
            // The sum is -2, 2, 3, 5, 5, 6.5.
            let shares: [Double] = [95, 14.25]
            #expect(result.measurements == [.penalties: shares])
            #expect(result.blobs.isEmpty)
            let (_, message) = try await bench.fault(
                BenchUnit(operation, reading: [try bench.put(one), try bench.put([1.0])]))
            #expect(message.hasSuffix("has 8 bytes; a part of a joint penalty has 48"), "\(message)")
        }
    }

    @Test func `a vector of weight 0 that is not finite has no part`() async throws {
        try await Bench.run { bench in
            let models = try models(bench, flaw: .infinity)
            let result = try await bench.result(try layer(bench, models, isUnweighted: true))
            let part = try bench.elements(result.blobs[0], of: Double.self)
            #expect(part.count == Self.inputRank * Self.gradientRank && part.allSatisfy(\.isNaN))
            #expect(result.measurements[.insidePenalty]?.allSatisfy(\.isNaN) == true)
            let (fault, message) = try await bench.fault(try layer(bench, models))
            #expect(fault == .badInput)
            #expect(message.contains("holds NaN or infinity, first in element 1"), "\(message)")
        }
    }

    @Test func `a drift beyond fp64 is an error of the input`() async throws {
        try await Bench.run { bench in
            let models = try models(bench, flaw: 1e200, isWide: true)
            let (fault, message) = try await bench.fault(try layer(bench, models))
            #expect(fault == .badInput)
            #expect(
                message
                    == "\(models.file.path): the drift of \"fc\" overflows fp64, though its parameters are finite; expected "
                    + "parameters near the base's. Check the checkpoint, or write \"interference: false\".")
        }
    }

    @Test func `rows and constants of another number are no lease`() async throws {
        try await Bench.run { bench in
            let models = try models(bench)
            var unit = try layer(bench, models)
            unit = BenchUnit(
                unit.operation, reading: [try bench.put([Float(1)]), unit.inputs.blobs[1]], files: unit.files)
            let (_, message) = try await bench.fault(unit)
            #expect(message.hasSuffix("has 4 bytes; 2 pseudo-rows have 80"), "\(message)")
            let parameter = try BlockModels(bench, rows: 1, inputs: 6, hasBias: false, seed: 2)
            let (_, other) = try await bench.fault(
                BenchUnit(
                    JointDriftOperation(
                        block: .full(dimension: 6), base: parameter.sources[0], checkpoint: parameter.sources[1],
                        isUnweighted: false, inputRank: 2, gradientRank: Self.gradientRank, positions: 1,
                        measuresInside: false),
                    reading: [try bench.put(parameterRows)], numbers: [[1]], files: [3: parameter.file]))
            #expect(other.hasSuffix("the constants of 2 joint rows have another number"), "\(other)")
        }
    }
}
