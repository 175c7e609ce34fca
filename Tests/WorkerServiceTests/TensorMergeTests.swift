import Identifiers
import KroneckerFactors
import LinearAlgebra
import Safetensors
import SystemPackage
import TaskArithmetic
import TestSupport
import Testing
import UnitOperations
import WireProtocol

@testable import WorkerService

/// Takes the weighted vector of the largest norm: of the whole tensor, so no element can be merged alone, and known
/// only after a first pass.
private struct LongestVector: StreamedComputation, ~Copyable {
    private let divides: Bool
    private var norms: [Double] = []
    private var position = 0
    private var isMeasured = false
    private var longest: Matrix<Double>
    private(set) var nextPass: MergePass? = .values

    init(_ problem: MergeProblem) throws(TaskArithmeticError) {
        guard case .matrix(let rows, let columns) = problem.shape else { throw .unexpectedOperands("factors") }
        let zeros: Matrix<Double>
        do { zeros = try Matrix(rows: rows, columns: columns) } catch { throw .linearAlgebra(error) }
        longest = zeros
        divides = problem.divides
    }

    mutating func addFactors(_ factors: borrowing TaskFactors, of model: MergedModel) throws(TaskArithmeticError) {
        throw .unexpectedOperands("factors")
    }

    mutating func add(
        _ values: consuming Matrix<Double>, factors: borrowing TaskFactors, of model: MergedModel
    ) throws(TaskArithmeticError) {
        switch factors {
        case .none: break
        case .layer: throw .unexpectedOperands("factors of a layer")
        case .parameter: throw .unexpectedOperands("factors of a parameter")
        }
        guard isMeasured else {
            do { norms.append(model.weight * (try values.frobeniusNorm())) } catch { throw .linearAlgebra(error) }
            return
        }
        if norms[position] == norms.max() {
            let factor = divides ? 1 : model.weight
            values.withMutableSpan { span in for index in span.indices { span[index] *= factor } }
            longest = values
        }
        position += 1
    }

    mutating func endPass() {
        nextPass = isMeasured ? nil : .values
        isMeasured = true
    }

    consuming func finish() throws(TaskArithmeticError) -> MergedBlock {
        guard norms.count > 0 else { throw .noTasks }
        guard norms.contains(where: { $0 > 0 }) else { throw .weightsCancel }
        let longest = longest
        return MergedBlock(values: longest)
    }

    static func cost(of shape: MergeProblem.Shape, models: Int) -> MergeCost {
        MergeCost(multiplyAdds: 0, numbers: 4, factorPasses: 0, valuePasses: 2)
    }
}

/// Whole tensors without factors, merged on a worker, compared with values by hand.
@Suite(.timeLimit(.minutes(5)))
struct TensorMergeTests {
    private let base: [Float] = [1, 1, 1, 1, 1, 1]
    private let models: [[Float]] = [[4, 1, 1, 1, 1, 5], [1, 1, 2, 1, 1, 1]]

    private let method = MergeMethod(
        name: "trial", paper: Paper("nobody"), formula: "θ", summary: "Takes the longest.", parameters: [.weight],
        scope: .tensors(LongestVector.self))

    /// Merges a tensor `[2, 3]` of the models by ``LongestVector``.
    private func merge(
        _ bench: Bench, _ models: [[Float]], weights: [Double], hasBase: Bool = true, scale: Double = 1,
        divides: Bool = false, type: ElementType = .f32
    ) async throws -> UnitResult {
        let path = FilePath(bench.directory.appending("models.safetensors"))
        let tensors = [base] + models
        let names = tensors.indices.map { "tensor\($0)" }
        let writer = try SafetensorsWriter(
            path: path, tensors: names.map { TensorDescription(name: $0, dataType: .float32, shape: [2, 3]) })
        for (name, values) in zip(names, tensors) { try writer.write(values.span.bytes, to: name) }
        try writer.finish()
        let file = try SafetensorsFile(opening: path)
        let sources = try names.map { name in
            let range = try file.fileRange(of: name, at: 0, count: 24)
            return [
                TensorSource(
                    elementType: .f32, slice: FileSlice(file: 3, offset: UInt64(range.lowerBound), byteCount: 24))
            ]
        }
        let operation = MergeOperation(
            method: "trial", parameters: .tensor(rows: 2, columns: 3), base: hasBase ? sources[0] : [],
            tasks: zip(sources.dropFirst(), weights).map { .init(parameters: $0, weight: $1, lambda: 1) },
            scale: scale, divides: divides, damping: DampingSpec(rule: .relative, value: 0.1), outputTypes: [type])
        let leased = LeasedFile(
            path: path.string, byteCount: UInt64(file.identity.byteCount),
            headerDigest: BlobDigest(sha256: file.identity.headerDigest))
        let input = bench.input(BenchUnit(operation, files: [3: leased], about: "conv.weight"))
        defer { input.blobs.release() }
        var scratch = try LaneScratch(BLASFactorBackend())
        return try await MergeExecution(operation: operation, input: input).run(by: method, &scratch)
    }

    @Test func `a task vector is chosen by its whole tensor, scaled and added to the base`() async throws {
        try await Bench.run { bench in
            let result = try await merge(bench, models, weights: [0.5, 1], scale: 2)
            #expect(try bench.elements(result.blobs[0]) == [Float(4), 1, 1, 1, 1, 5])
            #expect(result.measurements == [:])
        }
    }

    @Test func `weights come as they were given, and the method knows whether to divide`() async throws {
        try await Bench.run { bench in
            let heavy = try await merge(bench, models, weights: [0.5, 8])
            #expect(try bench.elements(heavy.blobs[0]) == [Float(1), 1, 9, 1, 1, 1])
            let divided = try await merge(bench, models, weights: [0.5, 8], divides: true)
            #expect(try bench.elements(divided.blobs[0]) == models[1])
        }
    }

    @Test func `without a base the models themselves are merged`() async throws {
        try await Bench.run { bench in
            let result = try await merge(bench, models, weights: [1, 1], hasBase: false)
            #expect(try bench.elements(result.blobs[0]) == models[0])
        }
    }

    private func message(
        _ bench: Bench, _ models: [[Float]], weights: [Double], type: ElementType = .f32
    ) async -> String? {
        let error = await #expect(throws: UnitError.self) {
            _ = try await merge(bench, models, weights: weights, type: type)
        }
        return error.map { "\($0)" }
    }

    @Test func `values that are not finite, or overflow their type, name the tensor`() async throws {
        try await Bench.run { bench in
            let nan = try #require(await message(bench, [models[0], [1, 1, .nan, 1, 1, 1]], weights: [1, 1]))
            #expect(nan.contains("tensor \"conv.weight\" holds NaN or infinity, first in element 2"))
            #expect(nan.contains("finite values where a tensor is measured or merged as a whole"))
            #expect(nan.contains("copy the base's with \"ignore\""))
            let overflow = try #require(
                await message(bench, [[1e6, 1, 1, 1, 1, 1], models[1]], weights: [1, 1], type: .f16))
            #expect(overflow.contains("tensor \"conv.weight\" of the merged checkpoint: "))
        }
    }

    @Test func `weights that the method cannot merge are the job's fault`() async throws {
        try await Bench.run { bench in
            let found = try #require(await message(bench, models, weights: [-1, -1]))
            #expect(found.contains("merge of \"conv.weight\": the weights of an average sum to zero"))
        }
    }

    @Test func `a lease of a method that is not registered is malformed`() async throws {
        try await Bench.run { bench in
            let operation = MergeOperation(
                method: "trial", parameters: .tensor(rows: 1, columns: 1), base: [], tasks: [], scale: 1,
                damping: DampingSpec(rule: .relative, value: 0.1), outputTypes: [.f32])
            let (_, message) = try await bench.fault(BenchUnit(operation, about: "conv.weight"))
            #expect(message.contains("this program has no merge on workers by \"trial\""))
        }
    }
}
