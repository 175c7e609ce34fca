import Identifiers
import LinearAlgebra
import TestSupport
import Testing
import UnitOperations
import WireProtocol

@testable import WorkerService

/// Pairs of task vectors under a block's factors, against explicit Kronecker products in fp64.
@Suite(.timeLimit(.minutes(5)))
struct PenaltyTests {
    /// A random factor of full rank, and its packed lower triangle.
    private func factor(_ order: Int, seed: UInt64) -> (square: [[Double]], packed: [Float]) {
        var random = SplitMix64(seed: seed)
        let rows = (0..<2 * order).map { _ in random.values(order) }
        let square = (0..<order).map { row in
            (0..<order).map { column in Double(Float(rows.reduce(0) { $0 + $1[row] * $1[column] })) }
        }
        return (square, (0..<order).flatMap { row in (0...row).map { Float(square[row][$0]) } })
    }

    private func value(_ matrix: [[Double]], _ left: [Double], _ right: [Double]) -> Double {
        left.indices.reduce(0) { sum, row in
            sum + left[row] * right.indices.reduce(0) { $0 + matrix[row][$1] * right[$1] }
        }
    }

    private func run(_ bench: Bench, _ unit: BenchUnit, kept: Int?) async throws -> UnitResult {
        let input = bench.input(unit)
        defer { input.blobs.release() }
        var scratch = try LaneScratch(BLASFactorBackend())
        let operation = try #require(unit.operation as? PenaltyOperation)
        return try await PenaltyExecution(operation: operation, input: input, keptVectorCount: kept).run(&scratch)
    }

    private func expect(_ result: UnitResult, _ models: BlockModels, under matrix: [[Double]]) throws {
        let vectors = models.vectors
        let found = result.measurements
        expectClose(try #require(found[.penalties]), vectors.map { value(matrix, $0, $0) }, relative: 1e-12)
        let pairs = [(0, 1), (0, 2), (1, 2)].map { value(matrix, vectors[$0], vectors[$1]) }
        expectClose(try #require(found[.pairPenalties]), pairs, relative: 1e-10, absolute: 1e-10)
        let norms = vectors.map { $0.reduce(0) { $0 + $1 * $1 } }
        expectClose(try #require(found[.squaredNorms]), norms, relative: 1e-13)
    }

    @Test func `pairs in a layer are those of B ⊗ A, however many vectors are kept`() async throws {
        try await Bench.run { bench in
            let (rows, inputs) = (3, 4)
            let models = try BlockModels(bench, rows: rows, inputs: inputs, hasBias: true, seed: 1)
            let (input, gradient) = (factor(inputs + 1, seed: 2), factor(rows, seed: 3))
            let order = inputs + 1
            let product = (0..<rows * order).map { row in
                (0..<rows * order).map { column in
                    gradient.square[row / order][column / order] * input.square[row % order][column % order]
                }
            }
            let unit = BenchUnit(
                PenaltyOperation(
                    block: .linear(outputs: rows, inputs: inputs, hasBias: true), base: models.sources[0],
                    checkpoints: Array(models.sources[1...])),
                reading: [try bench.put(input.packed), try bench.put(gradient.packed)], files: [3: models.file],
                about: "fc")
            let whole = try await run(bench, unit, kept: nil)
            try expect(whole, models, under: product)
            for kept in 0...2 { #expect(try await run(bench, unit, kept: kept) == whole) }
        }
    }

    @Test func `pairs of a parameter outside layers are those of F`() async throws {
        try await Bench.run { bench in
            let models = try BlockModels(bench, rows: 1, inputs: 6, hasBias: false, seed: 4)
            let full = factor(6, seed: 5)
            let unit = BenchUnit(
                PenaltyOperation(
                    block: .full(dimension: 6), base: models.sources[0], checkpoints: Array(models.sources[1...])),
                reading: [try bench.put(full.packed)], files: [3: models.file], about: "norm")
            try expect(try await bench.result(unit), models, under: full.square)
        }
    }

    @Test func `a large block keeps as many vectors as fit, and pays for reading the others`() {
        func operation(_ outputs: Int, vectors: Int) -> PenaltyOperation {
            PenaltyOperation(
                block: .linear(outputs: outputs, inputs: 1024, hasBias: false, diagonals: .input), base: [],
                checkpoints: Array(repeating: [], count: vectors))
        }
        // 64 MiB hold 8 matrices of [1024, 1024] in fp64.
        #expect(operation(1024, vectors: 1).keptVectorCount == 0)
        #expect(operation(1024, vectors: 8).keptVectorCount == 7)
        #expect(operation(1024, vectors: 20).keptVectorCount == 8)
        #expect(operation(1 << 14, vectors: 3).keptVectorCount == 0)
        let (few, many) = (operation(1024, vectors: 9).cost, operation(1024, vectors: 12).cost)
        #expect(few.memoryBytes == many.memoryBytes)
        // Of 12 vectors 3 are not kept before the last one, and are read again 1, 2 and 3 times.
        #expect(many.inputBytes - few.inputBytes == (3 + 6) * 1024 * 1024 * 4)
    }

    @Test func `norms are those of the task vectors, and NaN where one is not finite`() async throws {
        try await Bench.run { bench in
            let models = try BlockModels(bench, rows: 2, inputs: 5, hasBias: true, seed: 6)
            let unit = BenchUnit(
                NormOperation(base: models.sources[0], checkpoints: Array(models.sources[1...])),
                files: [3: models.file], about: "embed")
            let found = try #require(try await bench.result(unit).measurements[.squaredNorms])
            expectClose(found, models.vectors.map { $0.reduce(0) { $0 + $1 * $1 } }, relative: 1e-13)
            let flawed = try BlockModels(bench, rows: 2, inputs: 5, hasBias: true, seed: 7, flaw: .nan)
            let partly = BenchUnit(
                NormOperation(base: flawed.sources[0], checkpoints: Array(flawed.sources[1...])),
                files: [3: flawed.file], about: "embed")
            let norms = try #require(try await bench.result(partly).measurements[.squaredNorms])
            #expect(norms.map(\.isNaN) == [false, false, true])
            let other = BenchUnit(
                NormOperation(base: models.sources[0], checkpoints: [[models.sources[1][0]]]),
                files: [3: models.file], about: "embed")
            #expect(try await bench.fault(other).message.contains("the models have different numbers of parts"))
        }
    }
}
