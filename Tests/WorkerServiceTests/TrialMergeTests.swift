import BlobStore
import FileAccess
import Identifiers
import JobPlan
import KroneckerFactors
import LinearAlgebra
import Publication
import Safetensors
import SystemPackage
import TaskArithmetic
import TestSupport
import Testing
import UnitOperations
import WireProtocol

@testable import Admission
@testable import CoordinatorService
@testable import WorkerService

/// Merges by methods of the tests, from the job file to the merged file.
///
/// Admission, plan, the units of workers and the coordinator's merge are those of the product. Only the messages
/// between them are missing.
@Suite(.timeLimit(.minutes(5))) struct TrialMergeTests {
    /// A tensor with its values in the base, in "a" and in "b".
    private struct Tensor {
        let name: String
        let shape: [Int]
        let values: [[Float]]
    }

    private static let tensors = [
        Tensor(
            name: "fc.bias", shape: [2], values: [[1, 2], [1.5, 2], [1, -2]]),
        Tensor(
            name: "fc.weight", shape: [2, 3],
            values: [[1, 2, 3, 4, 5, 6], [2, 2, 3, 4, 5, 9], [1, 2, -3, 4, 7, 6]]),
        Tensor(name: "norm.weight", shape: [3], values: [[1, 1, 1], [1, 1.25, 1], [0, 1, 5]]),
    ]

    /// Diagonals of A (with the bias last) and of B, by task.
    private static let diagonals: [String: (input: [Float], gradient: [Float])] = [
        "a": ([1, 2, 4, 8], [2, 4]), "b": ([2, 1, 1, 0.5], [4, 8]),
    ]

    // MARK: - Files

    private func write(_ tensors: [(name: String, shape: [Int], values: [Float])], to path: String) throws {
        let writer = try SafetensorsWriter(
            path: FilePath(path),
            tensors: tensors.map { TensorDescription(name: $0.name, dataType: .float32, shape: $0.shape) })
        for tensor in tensors { try writer.write(tensor.values.span.bytes, to: tensor.name) }
        try writer.finish()
    }

    private func job(
        _ directory: TemporaryDirectory, _ method: MergeMethod, kfac: String, limits: PlanLimits
    ) throws -> Job {
        for (position, name) in ["base", "a", "b"].enumerated() {
            try write(
                Self.tensors.map { ($0.name, $0.shape, $0.values[position]) },
                to: directory.appending("\(name).safetensors"))
        }
        let factors = method.needsFactors ? ", factors: f" : ""
        let text = """
            merge_method: task_arithmetic
            base_model: base.safetensors
            models:
            - {name: a, model: a.safetensors\(factors)}
            - {name: b, model: b.safetensors\(factors)}
            \(kfac)
            outputs: [merged]
            output: out
            """
        let admitted = try JobAdmission.admit(
            Submission(
                specText: text.replacing(", factors: f", with: ""), specPath: directory.appending("job.yaml"),
                overwrites: false),
            as: "job-1", roots: .unlimited, owner: ClaimOwner(coordinator: "c", stateDirectory: ""))
        var spec = try JobSpec(yaml: text, fileName: "job.yaml")
        spec.method = method
        var inventory = admitted.plan.inventory
        if method.needsFactors { try addFactors(to: &inventory, in: directory) }
        try admitted.output.claim()
        return Job(
            id: "job-1", plan: try JobPlan(spec: spec, inventory: inventory, limits: limits), inputs: admitted.inputs,
            output: admitted.output, fingerprint: admitted.fingerprint)
    }

    private func addFactors(to inventory: inout JobInventory, in directory: TemporaryDirectory) throws {
        for (task, sides) in Self.diagonals.sorted(by: { $0.key < $1.key }) {
            let path = directory.appending("factors-\(task).safetensors")
            let matrices = [("fc.A", sides.input), ("fc.B", sides.gradient)].map { name, diagonal in
                let count = diagonal.count
                let values = (0..<count * count).map { $0 / count == $0 % count ? diagonal[$0 % count] : 0 }
                return (name: name, shape: [count, count], values: values)
            }
            try write(matrices, to: path)
            let file = try SafetensorsFile(opening: FilePath(path))
            let number = inventory.files.count
            inventory.files.append(
                InputFile(
                    path: path, byteCount: UInt64(file.identity.byteCount), modificationTime: 1,
                    headerDigest: BlobDigest(sha256: file.identity.headerDigest), role: "factors of \"\(task)\""))
            var factors: [FactorName: FactorSetInventory.Factor] = [:]
            for (matrix, side) in zip(matrices, [FactorSide.input, .gradient]) {
                let byteCount = matrix.values.count * 4
                let range = try file.fileRange(of: matrix.name, at: 0, count: byteCount)
                factors[FactorName(owner: "fc", side: side)] = .init(
                    shape: .full(matrix.shape[0]), elementType: .f32, isPacked: false,
                    slice: FileSlice(
                        file: number, offset: UInt64(range.lowerBound), byteCount: UInt64(byteCount)))
            }
            inventory.factorSets[TaskName(rawValue: task)] = FactorSetInventory(
                normalization: .tak, samples: 10, factors: factors)
        }
    }

    // MARK: - Units

    /// Computes all units of workers; the last one that is ready first, if the order is reversed.
    private func results(
        of plan: JobPlan, _ method: MergeMethod, on bench: Bench, isReversed: Bool
    ) async throws -> [UnitIndex: UnitResult] {
        var results: [UnitIndex: UnitResult] = [:]
        var waiting = plan.units.filter(\.isForWorker)
        while !waiting.isEmpty {
            let ready = waiting.filter { $0.dependencies.allSatisfy { results[$0] != nil } }
            let unit = try #require(isReversed ? ready.last : ready.first)
            waiting.removeAll { $0.index == unit.index }
            results[unit.index] = try await result(of: unit, in: plan, method, results, on: bench)
        }
        return results
    }

    private func result(
        of unit: WorkUnit, in plan: JobPlan, _ method: MergeMethod, _ known: [UnitIndex: UnitResult], on bench: Bench
    ) async throws -> UnitResult {
        let inputs = try #require(plan.inputs(of: unit) { known[$0] })
        // Operations travel as bytes.
        let operation = try EncodedOperation(try #require(unit.operation)).decoded()
        #expect(inputs.blobs.count == operation.inputBlobCount)
        #expect(inputs.numbers.count == operation.inputNumberCount)
        let files = plan.inventory.files.map {
            LeasedFile(path: $0.path, byteCount: $0.byteCount, headerDigest: $0.headerDigest)
        }
        let input = bench.input(
            BenchUnit(
                operation, reading: inputs.blobs, numbers: inputs.numbers,
                files: Dictionary(uniqueKeysWithValues: files.enumerated().map { ($0, $1) }), about: unit.subject))
        defer { input.blobs.release() }
        var scratch = try LaneScratch(BLASFactorBackend())
        let result: UnitResult
        switch operation {
        case let operation as MergeOperation:
            result = try await MergeExecution(operation: operation, input: input).run(by: method, &scratch)
        case let operation as CombineStatisticsOperation:
            result = try CombineStatisticsExecution(operation: operation, input: input).run(by: method)
        case let operation as any ExecutableOperation: result = try await operation.execute(input, &scratch)
        default: throw UnexecutableOperations(kinds: [operation.kind])
        }
        #expect(result.blobs.count == operation.outputBlobCount)
        return result
    }

    /// The merged values by tensor, with the plan that gave them.
    private func merged(
        _ method: MergeMethod, kfac: String = "", limits: PlanLimits = PlanLimits(combinedStatistics: 2),
        isReversed: Bool = false
    ) async throws -> (values: [String: [Float]], plan: JobPlan) {
        var found: (values: [String: [Float]], plan: JobPlan)?
        try await Bench.run { bench in
            let job = try job(bench.directory, method, kfac: kfac, limits: limits)
            let results = try await results(of: job.plan, method, on: bench, isReversed: isReversed)
            let store = try BlobStore(opening: FilePath(bench.directory.appending("store")))
            for (_, output) in job.plan.mergedRegions {
                let blob = try #require(results[output.unit]?.blobs[output.position])
                let bytes = try bench.elements(blob, of: Float.self)
                #expect(try store.put(bytes.span.bytes) == blob.digest)
            }
            _ = try CheckpointMerge(job: job, store: store) { results[$0] }.run()
            let file = try SafetensorsFile(opening: try job.output.stage("merged").appending("model.safetensors"))
            var values: [String: [Float]] = [:]
            for tensor in Self.tensors {
                var read = tensor.values[0]
                do {
                    var span = read.mutableSpan
                    var bytes = span.mutableBytes
                    let range = try file.fileRange(of: tensor.name, at: 0, count: tensor.values[0].count * 4)
                    try file.read(fromFileOffset: range.lowerBound, into: &bytes)
                }
                values[tensor.name] = read
            }
            found = (values, job.plan)
        }
        return try #require(found)
    }

    // MARK: - Expected values

    /// θ_0 + Σ f_t Δ_t.
    private func expected(_ tensor: Tensor, _ factors: [Double]) -> [Float] {
        tensor.values[0].indices.map { index in
            let base = Double(tensor.values[0][index])
            return Float(
                base + factors[0] * (Double(tensor.values[1][index]) - base)
                    + factors[1] * (Double(tensor.values[2][index]) - base))
        }
    }

    /// For each model, the number of its differences above their root mean square, divided by the sum of squares; over
    /// all tensors.
    private var spreads: [Double] {
        [1, 2].map { model in
            let differences = Self.tensors.flatMap { tensor in
                zip(tensor.values[model], tensor.values[0]).map { Double($0) - Double($1) }
            }
            let squares = differences.reduce(0) { $0 + $1 * $1 }
            let threshold = (squares / Double(differences.count)).squareRoot()
            return Double(differences.count { $0.magnitude > threshold }) / squares
        }
    }

    // MARK: - The whole model

    private static let scopes: [String: MergeScope] = [
        "elements": .elements(SpreadElements.self), "tensors": .tensors(SpreadMerge.self),
        "matrices": .matrices(SpreadMerge.self, others: SpreadElements.self),
    ]

    @Test(arguments: scopes.keys.sorted())
    func `what is measured of the whole model in two rounds reaches the merge of every part`(
        scope: String
    ) async throws {
        let method = MergeMethod.trial(try #require(Self.scopes[scope]), statistics: SpreadStatistics.self)
        let merged = try await merged(method)
        for tensor in Self.tensors {
            expectClose(
                try #require(merged.values[tensor.name]).map(Double.init),
                expected(tensor, spreads).map(Double.init), relative: 1e-6)
        }
        // Three parts in a tree of two at a time: three combinations each round.
        let combinations = merged.plan.units.filter { $0.operation is CombineStatisticsOperation }
        #expect(combinations.map(\.inputNumbers.count) == [2, 1, 2, 2, 1, 2])
        #expect(merged.plan.statistics.map(\.unit) == [combinations[2].index, combinations[5].index])
    }

    @Test func `the order in which workers finish changes no byte`() async throws {
        let method = MergeMethod.trial(.tensors(SpreadMerge.self), statistics: SpreadStatistics.self)
        let forward = try await merged(method)
        let backward = try await merged(method, isReversed: true)
        #expect(
            forward.values.mapValues { $0.map(\.bitPattern) } == backward.values.mapValues { $0.map(\.bitPattern) })
    }

    @Test func `whole tensors need no statistics`() async throws {
        let method = MergeMethod.trial(.matrices(PlainSum.self, others: WeightedSum.self))
        let merged = try await merged(method)
        for tensor in Self.tensors { #expect(merged.values[tensor.name] == expected(tensor, [1, 1])) }
        #expect(merged.plan.statistics.isEmpty)
    }

    // MARK: - A rule of its own beside matrices

    @Test func `tensors that are no matrices follow the method's own rule`() async throws {
        let method = MergeMethod.trial(.matrices(PlainSum.self, others: OppositeElements.self))
        let merged = try await merged(method)
        for tensor in Self.tensors {
            let factor = tensor.shape.count == 2 ? 1.0 : -1
            #expect(merged.values[tensor.name] == expected(tensor, [factor, factor]))
        }
        let settings = MergeSettings(spec: merged.plan.spec, base: merged.plan.inventory.base)
        #expect(settings.elementwiseRule(tensor: "fc.bias") == .ofMethod)
    }

    // MARK: - Inverses

    private static let exact = "kfac: {damping: {rule: absolute, value: 0}}"

    /// θ_0 + Σ_t Δ_t[i][j] / (b_i a_j), with the diagonals of each model's target.
    private func expected(_ targets: [(input: [Double], gradient: [Double])]) -> [String: [Float]] {
        var sums: [String: [Double]] = [:]
        for tensor in Self.tensors.prefix(2) {
            sums[tensor.name] = tensor.values[0].indices.map { index in
                let columns = tensor.shape.count == 2 ? 3 : 1
                let column = tensor.shape.count == 2 ? index % 3 : 3
                let base = Double(tensor.values[0][index])
                return zip(targets, tensor.values.dropFirst()).reduce(base) { sum, model in
                    let curvature = model.0.gradient[index / columns] * model.0.input[column]
                    return sum + (Double(model.1[index]) - base) / curvature
                }
            }
        }
        return sums.mapValues { $0.map { Float($0) } }
    }

    @Test func `each model has the inverses of the sum over the other tasks`() async throws {
        let method = MergeMethod.trial(
            .blocks(InverseProducts.self, inverses: .leaveOneOut, others: WeightedSum.self))
        let merged = try await merged(method, kfac: Self.exact)
        let (a, b) = (try #require(Self.diagonals["a"]), try #require(Self.diagonals["b"]))
        let targets = [b, a].map { (input: $0.input.map(Double.init), gradient: $0.gradient.map(Double.init)) }
        for (name, values) in expected(targets) {
            expectClose(
                try #require(merged.values[name]).map(Double.init), values.map(Double.init), relative: 1e-6)
        }
        #expect(merged.plan.inverted == [.without("a"), .without("b")])
        #expect(merged.plan.targets.isEmpty)
    }

    /// A is the mean over tasks of equal size, B the sum.
    @Test func `all models can share the inverses of the sum over all tasks`() async throws {
        let method = MergeMethod.trial(
            .blocks(InverseProducts.self, inverses: .all, others: WeightedSum.self))
        let merged = try await merged(method, kfac: Self.exact)
        let (a, b) = (try #require(Self.diagonals["a"]), try #require(Self.diagonals["b"]))
        let all = (
            input: zip(a.input, b.input).map { Double($0 + $1) / 2 },
            gradient: zip(a.gradient, b.gradient).map { Double($0 + $1) }
        )
        for (name, values) in expected([all, all]) {
            expectClose(
                try #require(merged.values[name]).map(Double.init), values.map(Double.init), relative: 1e-6)
        }
        #expect(merged.plan.inverted == [.all])
    }

    // MARK: - What is not computed

    @Test(arguments: [(0, false), (3, false), (2, true)])
    func `a lease with other rounds of statistics than the method has is malformed`(
        rounds: Int, measures: Bool
    ) async throws {
        try await Bench.run { bench in
            var operation = MergeOperation(
                method: "trial", parameters: .tensor(rows: 1, columns: 1), base: [], tasks: [], scale: 1,
                damping: DampingSpec(rule: .relative, value: 0.1), outputTypes: [.f32])
            (operation.roundCount, operation.measures) = (rounds, measures)
            let unit = BenchUnit(
                operation, numbers: Array(repeating: [1, 1, 1, 1], count: rounds), about: "conv.weight")
            let input = bench.input(unit)
            defer { input.blobs.release() }
            let execution = MergeExecution(operation: operation, input: input)
            let method = MergeMethod.trial(.tensors(SpreadMerge.self), statistics: SpreadStatistics.self)
            let error = await #expect(throws: UnitError.self) {
                var scratch = try LaneScratch(BLASFactorBackend())
                _ = try await execution.run(by: method, &scratch)
            }
            #expect(
                error.map { "\($0)" }
                    == "the lease is malformed: \"conv.weight\" has \(rounds) rounds of statistics, which \"trial\" does "
                    + "not take")
        }
    }

    @Test func `numbers of parts are added one by one, and must be as many`() throws {
        #expect(try SpreadStatistics.combined([[1, 2], [3, 4], [0.5, -1]], round: 0) == [4.5, 5])
        #expect(try SpreadStatistics.combined([], round: 0) == [])
        let error = #expect(throws: TaskArithmeticError.self) {
            try SpreadStatistics.combined([[1, 2], [3]], round: 0)
        }
        #expect(
            error?.description
                == "a merge got statistics of 2 and of 1 numbers, which its method does not take.")
    }

    @Test func `a computation that takes no inverses refuses them`() throws {
        let error = #expect(throws: TaskArithmeticError.self) {
            var merge = try SpreadMerge(
                MergeProblem(
                    shape: .matrix(rows: 1, columns: 1), models: [MergedModel()], damping: try Damping(.relative, 0.1)))
            try merge.addInverses(.none, of: MergedModel())
        }
        #expect(error?.description == "a merge got inverses, which its method does not take.")
    }

    @Test func `statistics of a method that has none, or that are not finite, are refused`() async throws {
        try await Bench.run { bench in
            let operation = CombineStatisticsOperation(method: "kfac", round: 0, partCount: 1)
            let (_, message) = try await bench.fault(BenchUnit(operation, numbers: [[1]]))
            #expect(message.contains("this program has no statistics for \"kfac\""))
            let input = bench.input(BenchUnit(operation, numbers: [[1, .infinity]]))
            defer { input.blobs.release() }
            let method = MergeMethod.trial(.elements(SpreadElements.self), statistics: SpreadStatistics.self)
            let error = #expect(throws: UnitError.self) {
                try CombineStatisticsExecution(operation: operation, input: input).run(by: method)
            }
            #expect(
                error.map { "\($0)" }
                    == "the unit: number 1 is inf; expected finite statistics. Check the checkpoints for large values.")
        }
    }
}

/// Σ Δ_t of a matrix.
private struct PlainSum: StreamedComputation, ~Copyable {
    private var sum: Matrix<Double>
    private(set) var nextPass: MergePass? = .values

    init(_ problem: MergeProblem) throws(TaskArithmeticError) {
        let zeros: Matrix<Double>
        do { zeros = try Matrix(rows: problem.shape.rows, columns: problem.shape.columns) } catch {
            throw .linearAlgebra(error)
        }
        sum = zeros
    }

    mutating func addFactors(_ factors: borrowing TaskFactors, of model: MergedModel) {}

    mutating func add(
        _ values: consuming Matrix<Double>, factors: borrowing TaskFactors, of model: MergedModel
    ) throws(TaskArithmeticError) {
        do { try sum.add(values) } catch { throw .linearAlgebra(error) }
    }

    mutating func endPass() { nextPass = nil }

    consuming func finish() -> MergedBlock { MergedBlock(values: sum) }

    static func cost(of shape: MergeProblem.Shape, models: Int) -> MergeCost {
        MergeCost(multiplyAdds: 1, numbers: 2 * Double(shape.rows * shape.columns), factorPasses: 0, valuePasses: 1)
    }
}

extension JobPlan {
    /// The targets whose regularizers are inverted.
    fileprivate var inverted: [TargetName] {
        [.all, .without("a"), .without("b")].filter { products["fc", .inverse(.input, of: $0)] != nil }
    }
}
