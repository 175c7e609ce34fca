import Identifiers
import KroneckerFactors
import LinearAlgebra
import TestSupport
import Testing
import UnitOperations
import WireProtocol

@testable import WorkerService

/// The units of a merge by joint rows, against sums in fp64.
@Suite(.timeLimit(.minutes(5)))
struct JointStepTests {
    private static let tasks = [
        JointCurvature.TaskRows(inputRank: 2, gradientRank: 1, lambda: 0.5),
        JointCurvature.TaskRows(inputRank: 1, gradientRank: 1, lambda: 2),
    ]

    private func sum(_ number: Int, stepsMax: Int = 9) -> JointStepSumOperation {
        JointStepSumOperation(partCount: 2, tasks: Self.tasks, number: number, tolerance: 0.1, stepsMax: stepsMax)
    }

    private func descent(_ result: UnitResult) throws -> JointDescent {
        let numbers = try #require(result.measurements[.descent])
        return try #require(JointDescent(numbers))
    }

    // MARK: - Sums

    @Test func `a step's length is the slope over the curvature, and the next direction keeps a share`()
        async throws
    {
        try await Bench.run { bench in
            let parts: [[Double]] = [[1, 2, 3], [1, 0, -1]]
            let first = try await bench.result(
                BenchUnit(
                    sum(1), reading: try parts.map { try bench.put($0) },
                    numbers: [[3, 4, 2, 0, 60], [1, 2, 1, 0, 40]]))
            var found = try descent(first)
            // X is 2, 2, 2: Ω has 0.5 · 8 + 2 · 4, and the floor 3.
            #expect(try bench.elements(first.blobs[0], of: Double.self) == [2, 2, 2])
            #expect(!found.isStopped && found.steps == 0 && found.residual == 0.2 && found.formerShare == 0)
            #expect(found.slope == 6 && found.floorCurvature == 3)
            #expect(found.length == 6.0 / 15)
            let blobs = try parts.map { try bench.put($0) }
            let numbers: [[Double]] = [found.numbers, [2, 2, 2, -1, 0], [1, 1, 1, 0.5, 0]]
            let second = try await bench.result(
                BenchUnit(sum(2), reading: blobs + [first.blobs[0]], numbers: numbers))
            found = try descent(second)
            // β is a half, and X 3, 3, 3; the floor has 3 + 2 β (−0.5) + β² 3.
            #expect(try bench.elements(second.blobs[0], of: Double.self) == [3, 3, 3])
            #expect(found.steps == 1 && found.formerShare == 0.5 && found.floorCurvature == 3.25)
            let expected: Double = 3 / (0.5 * 18 + 2 * 9 + 3.25)
            #expect(found.length == expected)
        }
    }

    @Test(arguments: [
        (numbers: [0.3, 4, 2, 0, 50], stepsMax: 9), (numbers: [3, 4, 2, 0, 50], stepsMax: 0),
        (numbers: [3, -1, 2, 0, 50], stepsMax: 9),
    ])
    func `a small residual, the last step, or no slope ends the iteration`(
        numbers: [Double], stepsMax: Int
    ) async throws {
        try await Bench.run { bench in
            let parts = try [[1.0, 2, 3], [1, 0, -1]].map { try bench.put($0) }
            let result = try await bench.result(
                BenchUnit(sum(1, stepsMax: stepsMax), reading: parts, numbers: [numbers, [0.2, 0, 0, 0, 0]]))
            let found = try descent(result)
            #expect(found.isStopped && found.steps == 0)
            expectClose(found.residual, ((numbers[0] + 0.2) / 50).squareRoot(), relative: 1e-15)
            #expect(result.blobs[0].byteCount == 8)
            // Parts of later steps are not read.
            let nothing = try bench.put(JointDescent.nothing)
            let after = try await bench.result(
                BenchUnit(
                    sum(2), reading: [nothing, nothing, result.blobs[0]],
                    numbers: [found.numbers, [0, 0, 0, 0, 0], [0, 0, 0, 0, 0]]))
            #expect(after.measurements == result.measurements && after.blobs == result.blobs)
        }
    }

    @Test func `numbers beyond fp64 and parts of other sizes are named`() async throws {
        try await Bench.run { bench in
            let parts = try [[1.0, 2, 3], [1, 0, -1]].map { try bench.put($0) }
            let (fault, message) = try await bench.fault(
                BenchUnit(sum(1), reading: parts, numbers: [[.infinity, 1, 1, 0, 1], [1, 1, 1, 0, 1]]))
            #expect(fault == .badInput)
            #expect(message.contains("the iteration left the range of fp64"), "\(message)")
            let (_, other) = try await bench.fault(
                BenchUnit(
                    sum(1), reading: [parts[0], try bench.put([1.0])], numbers: [[1, 1, 1, 0, 1], [1, 1, 1, 0, 1]]))
            #expect(other.hasSuffix("has 8 bytes; 3 numbers have 24"), "\(other)")
            let (_, short) = try await bench.fault(BenchUnit(sum(1), reading: parts, numbers: [[1], [1]]))
            #expect(short.hasSuffix("a part of a step has 1 numbers"), "\(short)")
        }
    }

    // MARK: - Steps

    private static let block = CurvatureBlock.Kind.full(dimension: 2)
    private static let curvature = JointCurvature(
        block: block, positions: 1, tasks: [.init(inputRank: 2, gradientRank: 1, lambda: 0.5)], floor: .factors(2))

    /// F = [[2, 1], [1, 3]], v = (1, −1), the constants 0.5 and −2; M⁻¹ is the identity.
    private func step(
        _ bench: Bench, isFirst: Bool, state: [Double], sums: [Double], _ numbers: [[Double]]
    ) throws -> BenchUnit {
        BenchUnit(
            JointStepOperation(curvature: Self.curvature, isFirst: isFirst),
            reading: [
                try bench.put(state), try bench.put(sums), try bench.put([Float(1), 0, 1]),
                try bench.put([Float(1), -1]), try bench.put([Float(2), 1, 3]),
            ], numbers: numbers + [[0.5, -2]], about: "norm")
    }

    @Test func `a parameter's steps update its vectors`() async throws {
        try await Bench.run { bench in
            // Δ_0, and the floor's images of the residual and of the right side; X of both.
            let first = try await bench.result(
                try step(bench, isFirst: true, state: [7, 8, 1, 2, 3, 4], sums: [2, 4, 6, 8], []))
            // λ Σ X u v is 0.5 (2 · 0.5 − 4 · 2) = −3.5 times v; of the right side 0.5 (6 · 0.5 − 8 · 2) = −6.5.
            let r: [Double] = [-2.5, 5.5]
            let b: [Double] = [-3.5, 10.5]
            // λ c F z with λ c = 1.
            let image: [Double] = [0.5, 14]
            let started: [Double] = [[7, 8], r, [0, 0], r, [0, 0], image].flatMap { $0 }
            #expect(try bench.elements(first.blobs[0], of: Double.self) == started)
            let product = r[0] - r[1]
            #expect(try bench.elements(first.blobs[1], of: Double.self) == [0.5 * product, -2 * product])
            func dot(_ left: [Double], _ right: [Double]) -> Double { left[0] * right[0] + left[1] * right[1] }
            let numbers: [Double] = [dot(r, r), dot(r, r), dot(r, image), 0, dot(b, b)]
            #expect(first.measurements[.descent] == numbers)
            var descent = JointDescent(isStopped: false, steps: 0, residual: 1, rightSquares: 1)
            (descent.length, descent.formerShare) = (0.25, 0.5)
            let state: [Double] = [7, 8, 1, 2, 2, 4, 2, 4, 6, 8, 1, 1]
            let second = try await bench.result(
                try step(bench, isFirst: false, state: state, sums: [2, 4], [descent.numbers]))
            // d = z + d / 2, and its image; Q d has −3.5 v besides.
            let (d, floor): ([Double], [Double]) = ([3, 6], [4, 5])
            let q: [Double] = [0.5, 8.5]
            let x: [Double] = [7 + d[0] / 4, 8 + d[1] / 4]
            let next: [Double] = [1 - q[0] / 4, 2 - q[1] / 4]
            let nextImage: [Double] = [2 * next[0] + next[1], next[0] + 3 * next[1]]
            let stepped: [Double] = [x, next, d, next, floor, nextImage].flatMap { $0 }
            #expect(try bench.elements(second.blobs[0], of: Double.self) == stepped)
        }
    }

    @Test func `after the stop the state is handed on`() async throws {
        try await Bench.run { bench in
            let descent = JointDescent(isStopped: true, steps: 3, residual: 0, rightSquares: 1)
            let unit = try step(
                bench, isFirst: false, state: (0..<12).map(Double.init), sums: JointDescent.nothing, [descent.numbers])
            let result = try await bench.result(unit)
            #expect(result.blobs[0] == unit.inputs.blobs[0] && result.blobs[1].byteCount == 8)
            #expect(result.measurements[.descent] == [0, 0, 0, 0, 0])
            let (_, message) = try await bench.fault(
                try step(bench, isFirst: false, state: [1], sums: [2, 4], [[1, 2]]))
            #expect(message.hasSuffix("\"norm\" has no step to take"), "\(message)")
        }
    }

    // MARK: - Start and end

    @Test(arguments: [false, true]) func `the start is the closed form without the base, in any layout`(
        isTransposed: Bool
    ) async throws {
        try await Bench.run { bench in
            let models = try BlockModels(bench, rows: 3, inputs: 4, hasBias: true, seed: 5)
            var sources = models.sources
            if isTransposed { for model in sources.indices { sources[model][0].layout = .inOut } }
            func change(_ row: Int, _ column: Int) -> Double { Double(row) - Double(column) / 8 }
            let reader = ParameterReader(.block(layer), input: bench.input(read(models)))
            let base = try await reader.read(sources[0])
            let weight = (0..<12).map { element in
                let (row, column) = isTransposed ? (element % 3, element / 3) : (element / 4, element % 4)
                return base[row, column] + change(row, column)
            }
            let bias = (0..<3).map { base[$0, 4] + change($0, 4) }
            var random = SplitMix64(seed: 6)
            let inputRows = random.values(2 * 5).map { Float($0) }
            let gradientRows = random.values(3).map { Float($0) }
            let operation = JointStartOperation(
                curvature: JointCurvature(
                    block: layer, positions: 1, tasks: [.init(inputRank: 2, gradientRank: 1, lambda: 1)], floor: .none),
                base: sources[0], vectors: [.init(parameters: sources[1], weight: 0.5)])
            let result = try await bench.result(
                BenchUnit(
                    operation,
                    reading: [
                        try bench.put(weight), try bench.put(bias), try bench.put(inputRows),
                        try bench.put(gradientRows),
                    ], files: [3: models.file], about: "fc"))
            let start = try bench.elements(result.blobs[0], of: Double.self)
            expectClose(start, (0..<15).map { change($0 / 5, $0 % 5) }, absolute: 1e-15)
            let vector = try await reader.taskVector(sources[1], base: base)
            let whole = (0..<15).map { 0.5 * vector[$0 / 5, $0 % 5] }
            let rest = zip(whole, start).map { $0 - $1 }
            var expected: [Double] = []
            for delta in [rest, whole] {
                for input in 0..<2 {
                    var drift = 0.0
                    for index in 0..<15 {
                        let gradient = Double(gradientRows[index / 5])
                        drift += gradient * delta[index] * Double(inputRows[input * 5 + index % 5])
                    }
                    expected.append(drift)
                }
            }
            expectClose(try bench.elements(result.blobs[1], of: Double.self), expected, absolute: 1e-13)
        }
    }

    private var layer: CurvatureBlock.Kind { .linear(outputs: 3, inputs: 4, hasBias: true) }

    /// A unit that may read the models.
    private func read(_ models: BlockModels) -> BenchUnit {
        BenchUnit(sum(0), files: [3: models.file], about: "fc")
    }

    @Test func `the end is the base and α times the first matrix of the state`() async throws {
        try await Bench.run { bench in
            let models = try BlockModels(bench, rows: 1, inputs: 3, hasBias: false, seed: 7)
            var operation = MergeOperation(
                method: "kfac_exact", parameters: .block(.full(dimension: 3)), base: models.sources[0], tasks: [],
                scale: 0.5, damping: DampingSpec(rule: .relative, value: 0.1), outputTypes: [.f64])
            operation.readsSolution = true
            let descent = JointDescent(isStopped: true, steps: 3, residual: 0.25, rightSquares: 1)
            let state: [Double] = [3, 0, 4, 9, 9, 9]
            func unit(_ state: [Double], _ numbers: [Double]) throws -> BenchUnit {
                BenchUnit(
                    operation, reading: [try bench.put(state)], numbers: [numbers], files: [3: models.file],
                    about: "norm")
            }
            let result = try await bench.result(try unit(state, descent.numbers))
            let base = try await ParameterReader(.block(.full(dimension: 3)), input: bench.input(read(models)))
                .read(models.sources[0])
            #expect(
                try bench.elements(result.blobs[0], of: Double.self)
                    == (0..<3).map { base[0, $0] + 0.5 * state[$0] })
            #expect(result.measurements == [.iterations: [3], .residual: [0.25], .mergedNorm: [5]])
            let (_, message) = try await bench.fault(try unit([1, 2, 3, 4], descent.numbers))
            #expect(message.hasSuffix("has 32 bytes; a matrix of \"norm\" has 24"), "\(message)")
            let (_, other) = try await bench.fault(try unit(state, [1]))
            #expect(other.hasSuffix("\"norm\" has no solution"), "\(other)")
        }
    }
}
