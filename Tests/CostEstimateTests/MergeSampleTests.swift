import JobPlan
import LinearAlgebra
import TaskArithmetic
import Testing
import UnitOperations

@testable import CostEstimate

/// Merges as samples of their kinds, and their seconds.
@Suite struct MergeSampleTests {
    private func operation(
        _ method: String, rows: Int = 8, columns: Int = 4, arguments: [String: MergeValue] = [:],
        model: [String: MergeValue] = [:]
    ) -> MergeOperation {
        func source(_ file: Int) -> TensorSource {
            TensorSource(
                elementType: .f32,
                slice: FileSlice(file: file, offset: 0, byteCount: UInt64(4 * rows * columns)))
        }
        return MergeOperation(
            method: method, arguments: MergeArguments(arguments), parameters: .tensor(rows: rows, columns: columns),
            base: [source(0)],
            tasks: (1...2).map {
                MergeOperation.Task(
                    parameters: [source($0)], place: $0, weight: 1, lambda: 1, arguments: MergeArguments(model))
            }, scale: 1, damping: DampingSpec(), outputTypes: [.f32])
    }

    private func kind(_ operation: MergeOperation) throws -> String { try #require(MergeSample(operation)).kind }

    @Test func `numbers do not decide a pace, but what lets a method skip work does`() throws {
        let kinds = try [0.2, 0.9, 1].map { try kind(operation("ties", model: ["density": .number($0)])) }
        #expect(kinds[0] == kinds[1])
        #expect(kinds[1] != kinds[2])
        let counts = try [1, 2].map { try kind(operation("wudi", arguments: ["steps": .count($0)])) }
        #expect(counts[0] != counts[1])
    }

    @Test func `a large matrix is rehearsed as a smaller one of its proportions`() throws {
        let sample = try #require(MergeSample(operation("tsv_m", rows: 1 << 14, columns: 1 << 12)))
        let (shape, smaller) = sample.rehearsedShapes
        #expect(shape.rows == 4 * shape.columns)
        #expect(sample.work(of: shape) <= 3e9)
        #expect(sample.work(of: shape) > 3e9 / 16)
        #expect(smaller == .matrix(rows: shape.rows / 2, columns: shape.columns / 2))
        #expect(try kind(operation("tsv_m", rows: 1 << 15, columns: 1 << 13)) == sample.kind)
    }

    @Test(arguments: [(32, 1 << 20), (1 << 20, 32), (1, 1 << 28), (1 << 15, 1 << 15)])
    func `what is rehearsed is bounded in work and in memory, whatever the proportions`(rows: Int, columns: Int) throws
    {
        for method in ["tsv_m", "kfac", "karcher"] {
            let sample = try #require(MergeSample(operation(method, rows: rows, columns: columns)))
            let (shape, smaller) = sample.rehearsedShapes
            if case .elements = sample.step { continue }
            #expect(sample.work(of: shape) <= 3e9)
            // Two models in fp64.
            #expect(2 * 8 * shape.rows * shape.columns <= 256 << 20)
            #expect(smaller.map { $0.rows * $0.columns < shape.rows * shape.columns } ?? true)
        }
    }

    @Test func `a layer with few outputs is rehearsed with smaller factors of its inputs`() throws {
        var layer = operation("kfac")
        layer.parameters = .block(.linear(outputs: 10, inputs: 10240, hasBias: false))
        let shape = try #require(MergeSample(layer)).rehearsedShapes.larger
        #expect(shape.rows == 10)
        #expect(shape.columns < 10240)
        #expect(2 * shape.columns * (shape.columns + 1) / 2 <= 32_000_000)
    }

    @Test func `a merge takes the pace of its kind, and reads its models in every pass`() throws {
        let operation = operation("tsv_m")
        let sample = try #require(MergeSample(operation))
        var rates = try MachineRates.unit()
        rates.merges[sample.kind] = MergePace(seconds: 2, passes: 3)
        var unit = try MergePlan().plan().units[0]
        (unit.work, unit.cost) = (.worker(operation), operation.cost)
        let seconds = rates.seconds(of: unit, sentBytes: 128)
        #expect(seconds.kernels == 2 * sample.work)
        // Two models and the base, of 32 elements.
        #expect(seconds.reading == 3 * 3 * 128)
        // The result is hashed, and read, hashed and written twice on its way.
        #expect(seconds.writing == 128 + 4 * 128)
    }

    @Test func `two runs tell the work of a method from its elements`() {
        func run(_ dimension: Double, _ seconds: Double) -> MergePace.Run {
            MergePace.Run(work: dimension * dimension * dimension, elements: dimension * dimension, seconds: seconds)
        }
        // 2 n³ + 3 n².
        let pace = MergePace(run(4, 128 + 48), smaller: run(2, 16 + 12), passes: 1)
        #expect(pace == MergePace(seconds: 2, elementSeconds: 3, passes: 1))
        #expect(pace.seconds(work: 1000, elements: 100) == 2300)
        // A smaller run that is too fast is no reason to expect less than nothing of a part.
        #expect(MergePace(run(4, 128), smaller: run(2, 1), passes: 1) == MergePace(seconds: 2, passes: 1))
        #expect(MergePace(run(4, 128), smaller: nil, passes: 1) == MergePace(seconds: 2, passes: 1))
    }

    @Test func `threads share what is merged element by element`() throws {
        let plan = try MergePlan().plan()
        let parts = CheckpointParts(of: plan)
        #expect(parts.summed.map(\.work) == [16])
        #expect(parts.outputBytes == 64)
        var rates = try MachineRates.unit()
        rates.merges[parts.summed[0].kind] = MergePace(seconds: 100, passes: 0)
        let merge = CheckpointSeconds(of: parts, rates: rates)
        // 100 for each element, both files, and the checkpoint.
        let shared = 1600.0 + 2 * 64 + 64
        #expect(merge.shared.total == shared)
        #expect(merge.elapsed(threads: 1) == shared + MachineRates.handlingSeconds)
        #expect(merge.elapsed(threads: 2) == shared / 2 + MachineRates.handlingSeconds)
        #expect(plan.mergeSamples.map(\.kind) == [parts.summed[0].kind])
        // The digest is taken beside the merge, and takes longer than a fast one.
        rates.merges[parts.summed[0].kind] = MergePace(seconds: 1, passes: 0)
        #expect(CheckpointSeconds(of: parts, rates: rates).elapsed(threads: 2) == 128)
    }
}
