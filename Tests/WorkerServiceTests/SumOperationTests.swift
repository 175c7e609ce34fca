import Identifiers
import KroneckerFactors
import LinearAlgebra
import TestSupport
import Testing
import UnitOperations
import WireProtocol

@testable import WorkerService

/// Sums over parts and over tasks, compared with sums by hand; matrices are packed lower triangles of dimension 2.
@Suite(.timeLimit(.minutes(5)))
struct SumOperationTests {
    private let first: [Float] = [4, 1, 2]
    private let second: [Float] = [8, -2, 6]
    private let third: [Float] = [2, 0, 10]

    private func accumulate(
        _ bench: Bench, _ factors: [[Float]], weights: [Double], side: FactorSide,
        exclusions: [Int?], scale: RegularizerScale = .paper
    ) async throws -> UnitResult {
        try await bench.result(
            BenchUnit(
                AccumulateOperation(
                    side: side, shape: .full(2), weights: weights, exclusions: exclusions, scale: scale),
                reading: try factors.map { try bench.put($0) }))
    }

    @Test func `inputs of two tasks are summed with their weights`() async throws {
        try await Bench.run { bench in
            let result = try await accumulate(
                bench, [first, second], weights: [1, 3], side: .input, exclusions: [nil, 0, 1])
            #expect(try result.blobs.map { try bench.elements($0) } == [[7, -1.25, 5], second, first])
            #expect(result.measurements[.trace] == [12, 14, 6])
            #expect(result.measurements[.summedAfresh] == [0, 0, 0])
            #expect(result.measurements[.innerProducts] == [22, 40, 40, 108])
        }
    }

    @Test(arguments: [(RegularizerScale.paper, [Float(12), -1, 8]), (.mean, [6, -0.5, 4])])
    func `gradients of two tasks are summed, or averaged`(_ scale: RegularizerScale, _ sum: [Float]) async throws {
        try await Bench.run { bench in
            let result = try await accumulate(
                bench, [first, second], weights: [1, 3], side: .gradient, exclusions: [nil], scale: scale)
            #expect(try bench.elements(result.blobs[0]) == sum)
        }
    }

    @Test func `each of three tasks is left out in turn`() async throws {
        try await Bench.run { bench in
            let result = try await accumulate(
                bench, [first, second, third], weights: [1, 1, 2], side: .full, exclusions: [0, 1, 2])
            expectClose(try bench.elements(result.blobs[0]), [4, -2.0 / 3, 26.0 / 3], relative: 1e-7)
            expectClose(try bench.elements(result.blobs[1]), [8.0 / 3, 1.0 / 3, 22.0 / 3], relative: 1e-7)
            #expect(try bench.elements(result.blobs[2]) == [6, -0.5, 4])
            #expect(result.measurements[.innerProducts]?[2] == 28)
        }
    }

    @Test func `a task that dwarfs the others is left out by summing afresh`() async throws {
        try await Bench.run { bench in
            let giant: [Float] = [0x1p60, 0, 0x1p60]
            let result = try await accumulate(
                bench, [giant, first], weights: [1, 1], side: .input, exclusions: [0, 1])
            #expect(try result.blobs.map { try bench.elements($0) } == [first, giant])
            #expect(result.measurements[.summedAfresh] == [1, 0])
            #expect(result.measurements[.trace] == [6, 0x1p61])
        }
    }

    @Test func `without targets only inner products are measured`() async throws {
        try await Bench.run { bench in
            let result = try await accumulate(
                bench, [first, second], weights: [1, 3], side: .gradient, exclusions: [])
            #expect(result == UnitResult(measurements: [.innerProducts: [22, 40, 40, 108]]))
        }
    }

    @Test func `a factor of another size makes the lease malformed`() async throws {
        try await Bench.run { bench in
            let small = try bench.put([Float(1)])
            let (fault, message) = try await bench.fault(
                BenchUnit(
                    AccumulateOperation(side: .input, shape: .full(2), weights: [1], exclusions: [nil], scale: .paper),
                    reading: [small]))
            #expect(fault == .world)
            #expect(
                message == "the unit: the lease is malformed: blob \(small.digest) is no triangle of "
                    + "dimension 2")
        }
    }

    @Test func `parts are added and divided`() async throws {
        try await Bench.run { bench in
            let parts = [try bench.put([2.0, 4, 6]), try bench.put([1.0, 1, 1]), try bench.put([0.0, 1, 3])]
            let result = try await bench.result(
                BenchUnit(CombineOperation(partCount: 3, shape: .full(2), divisor: 2), reading: parts))
            #expect(try bench.elements(result.blobs[0]) == [1.5, 3, 5])
            #expect(result.measurements == [.trace: [6.5]])
        }
    }

    @Test func `a combined factor that float32 cannot hold is bad input`() async throws {
        try await Bench.run { bench in
            let part = try bench.put([1e39, 0, 1])
            let (fault, message) = try await bench.fault(
                BenchUnit(CombineOperation(partCount: 1, shape: .full(2), divisor: 1), reading: [part]))
            #expect(fault == .badInput)
            #expect(message == "the unit: \(KroneckerFactorsError.exceedsStorage(row: 0))")
        }
    }

    @Test func `a combined factor that vanishes in fp32 is bad input, and a zero one is not`() async throws {
        try await Bench.run { bench in
            func combined(_ sums: [Double]) throws -> BenchUnit {
                BenchUnit(
                    CombineOperation(partCount: 1, shape: .full(2), divisor: 1e3), reading: [try bench.put(sums)])
            }
            let (fault, message) = try await bench.fault(try combined([1e-36, 0, 1e-36]))
            #expect(fault == .badInput)
            #expect(message.hasPrefix("the unit: vanishes in fp32: its largest diagonal element is 1e-39. Scale"))
            let zero = try await bench.result(try combined([0, 0, 0]))
            #expect(try bench.elements(zero.blobs[0]) == [0, 0, 0])
        }
    }

    @Test(arguments: [(RegularizerScale.mean, [Float(4.5), 0, 1.5]), (.paper, [9, 0, 3])])
    func `proportional factors are one Kronecker product`(_ scale: RegularizerScale, _ b: [Float]) async throws {
        try await Bench.run { bench in
            let a: [Float] = [1, 0, 2]
            let gradients: [[Float]] = [[3, 0, 1], [6, 0, 2]]
            let result = try await bench.result(
                BenchUnit(
                    OptimalAccumulateOperation(
                        inputShape: .full(2), gradientShape: .full(2), weights: [1, 1], rank: 1, exclusions: [nil],
                        scale: scale),
                    reading: try ([a, a] + gradients).map { try bench.put($0) },
                    numbers: [[5, 5, 5, 5], [10, 20, 20, 40]]))
            #expect(result.blobs.count == 2)
            expectClose(try bench.elements(result.blobs[0]), a, relative: 1e-6)
            expectClose(try bench.elements(result.blobs[1]), b, relative: 1e-6)
            expectClose(try #require(result.measurements[.relativeError]), [0], absolute: 1e-7)
        }
    }
}
