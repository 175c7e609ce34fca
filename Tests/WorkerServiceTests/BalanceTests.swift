import Foundation
import Identifiers
import LinearAlgebra
import Safetensors
import SystemPackage
import TestSupport
import Testing
import UnitOperations
import WireProtocol

@testable import WorkerService

/// The exact trace of rows in files, and B scaled to it.
@Suite(.timeLimit(.minutes(5)))
struct BalanceTests {
    /// Rows of one layer in files, each with all of its probes.
    private struct Capture {
        var inputs: [RowSlice] = []
        var gradients: [RowSlice] = []
        var numbers: [SampleNumbers] = []
        var files: [Int: LeasedFile] = [:]
        var paths: [String] = []
    }

    /// One file for each list of sample numbers; the gradients have two probes.
    private func written(
        _ bench: Bench, _ samples: [[Int32]], inputs: [[Float]], gradients: [[Float]]
    ) throws -> Capture {
        var capture = Capture()
        for (index, samples) in samples.enumerated() {
            let path = FilePath(bench.directory.appending("\(index).safetensors"))
            let tensors = [
                TensorDescription(name: "l.input", dataType: .float32, shape: [samples.count, 2]),
                TensorDescription(name: "l.output_grad", dataType: .float32, shape: [2 * samples.count, 3]),
                TensorDescription(name: "l.row_samples", dataType: .int32, shape: [samples.count]),
            ]
            let writer = try SafetensorsWriter(path: path, tensors: tensors)
            let (own, ownGradients) = (inputs[index], gradients[index])
            try writer.write(own.span.bytes, to: "l.input")
            try writer.write(ownGradients.span.bytes, to: "l.output_grad")
            try writer.write(samples.span.bytes, to: "l.row_samples")
            try writer.finish()
            let file = try SafetensorsFile(opening: path)
            func slice(_ tensor: String, _ byteCount: Int) throws -> FileSlice {
                let range = try file.fileRange(of: tensor, at: 0, count: byteCount)
                return FileSlice(file: index, offset: UInt64(range.lowerBound), byteCount: UInt64(byteCount))
            }
            let rows = samples.count
            capture.inputs.append(RowSlice(slice: try slice("l.input", 8 * rows), rows: rows))
            capture.gradients.append(RowSlice(slice: try slice("l.output_grad", 24 * rows), rows: 2 * rows))
            capture.numbers.append(
                SampleNumbers(slice: try slice("l.row_samples", 4 * rows), isWide: false, samples: 9))
            capture.files[index] = LeasedFile(
                path: path.string, byteCount: UInt64(file.identity.byteCount),
                headerDigest: BlobDigest(sha256: file.identity.headerDigest))
            capture.paths.append(path.string)
        }
        return capture
    }

    private func unit(
        _ capture: Capture, _ borders: ExactTraceOperation.Borders? = nil, chunkRows: Int, divisor: Double = 1
    ) -> BenchUnit {
        BenchUnit(
            ExactTraceOperation(
                inputs: .init(columns: 2, type: .numbers(.f32), slices: capture.inputs), appendsOnes: true,
                gradients: .init(columns: 3, type: .numbers(.f32), slices: capture.gradients), probes: 2,
                borders: borders ?? .numbers(capture.numbers), chunkRows: chunkRows, divisor: divisor),
            files: capture.files, about: "l")
    }

    private func random(_ count: Int, seed: UInt64) -> [Float] {
        var random = SplitMix64(seed: seed)
        return random.values(count).map { Float($0) }
    }

    /// Σ ‖Σ_p g_p ã_pᵀ‖² over the samples and probes of a file.
    private func expected(_ samples: [Int32], _ inputs: [Float], _ gradients: [Float]) -> Double {
        var total = 0.0
        for probe in 0..<2 {
            for sample in Set(samples) {
                let rows = samples.indices.filter { samples[$0] == sample }
                for output in 0..<3 {
                    for column in 0..<3 {
                        let element = rows.reduce(0.0) { sum, row in
                            let input = column == 2 ? 1 : Double(inputs[2 * row + column])
                            return sum + Double(gradients[3 * (probe * samples.count + row) + output]) * input
                        }
                        total += element * element
                    }
                }
            }
        }
        return total
    }

    private static let samples: [[Int32]] = [[0, 0, 0, 2, 3, 3, 5], [1, 1, 1, 1, 1, 1, 1, 1, 1]]

    @Test(arguments: [1, 2, 3, 5, 100]) func `samples are told apart by their numbers, whatever the chunks`(
        chunkRows: Int
    ) async throws {
        let inputs = [random(14, seed: 1), random(18, seed: 2)]
        let gradients = [random(42, seed: 3), random(54, seed: 4)]
        let total = (0..<2).reduce(0) { $0 + expected(Self.samples[$1], inputs[$1], gradients[$1]) }
        try await Bench.run { bench in
            let capture = try written(bench, Self.samples, inputs: inputs, gradients: gradients)
            let result = try await bench.result(unit(capture, chunkRows: chunkRows, divisor: 8))
            #expect(result.blobs.isEmpty)
            expectClose(try #require(result.measurements[.exactTrace]), [total / 8], absolute: 1e-5 * total)
        }
    }

    @Test(arguments: [(1, 4), (2, 4), (4, 4), (4, 3), (4, 1)])
    func `samples of equally many rows need no numbers`(positions: Int, chunkRows: Int) async throws {
        let (inputs, gradients) = (random(16, seed: 5), random(48, seed: 6))
        let samples = (0..<8).map { Int32($0 / positions) }
        let total = expected(samples, inputs, gradients)
        try await Bench.run { bench in
            let capture = try written(bench, [samples], inputs: [inputs], gradients: [gradients])
            let result = try await bench.result(unit(capture, .positions(positions), chunkRows: chunkRows))
            expectClose(try #require(result.measurements[.exactTrace]), [total], absolute: 1e-5 * total)
        }
    }

    @Test func `rows that are not finite, or too large, are an error of the input`() async throws {
        var gradients = random(42, seed: 3)
        gradients[3 * 9 + 1] = .nan
        try await Bench.run { bench in
            let capture = try written(
                bench, [Self.samples[0]], inputs: [random(14, seed: 1)], gradients: [gradients])
            let (fault, message) = try await bench.fault(unit(capture, chunkRows: 3))
            #expect(fault == .badInput)
            #expect(
                message
                    == "\(capture.paths[0]): tensor \"l.output_grad\" holds NaN or infinity, first in row 9; expected finite "
                    + "values. Capture the task again.")
        }
        try await Bench.run { bench in
            let large = [Float](repeating: 1e30, count: 42)
            let capture = try written(
                bench, [Self.samples[0]], inputs: [[Float](repeating: 1e30, count: 14)], gradients: [large])
            let (fault, message) = try await bench.fault(unit(capture, chunkRows: 7))
            #expect(fault == .badInput)
            #expect(
                message
                    == "\(capture.paths[0]): the rows of layer \"l\" have products beyond fp32, so no exact trace; expected "
                    + "magnitudes whose products stay below 3.4e38. Scale the captures of all tasks down.")
        }
    }

    // MARK: - B

    private func balance(
        _ scalar: BalanceOperation.Scalar, _ blob: BlobReference, _ numbers: [[Double]] = []
    ) -> BenchUnit {
        BenchUnit(BalanceOperation(shape: .full(2), scalar: scalar), reading: [blob], numbers: numbers, about: "fc")
    }

    @Test func `B gets the exact trace at the trace of A`() async throws {
        try await Bench.run { bench in
            let blob = try bench.put([Float(2), 1, 4])
            let measured = BalanceOperation.Measured(inputPlace: 0, gradientPlace: 1, partCount: 2, known: 1)
            // The exact trace is 1 + 2 + 6, and tr(A) tr(B) is 3 · 6.
            let result = try await bench.result(balance(.measured(measured), blob, [[3], [9, 6], [2], [6]]))
            #expect(try bench.elements(result.blobs[0]) == [1, 0.5, 2])
            #expect(result.measurements == [.balance: [0.5], .trace: [3]])
            let stated = try await bench.result(balance(.stated(2), blob))
            #expect(try bench.elements(stated.blobs[0]) == [4, 2, 8])
            #expect(stated.measurements == [.balance: [2], .trace: [12]])
        }
    }

    @Test func `without any curvature nothing is scaled, and without a trace of B nothing can be`() async throws {
        let measured = BalanceOperation.Measured(inputPlace: 0, gradientPlace: 0, partCount: 1)
        try await Bench.run { bench in
            let blob = try bench.put([Float(0), 0, 0])
            let result = try await bench.result(balance(.measured(measured), blob, [[3], [0], [0]]))
            #expect(result.measurements == [.balance: [1], .trace: [0]])
            let (fault, message) = try await bench.fault(balance(.measured(measured), blob, [[3], [0], [5]]))
            #expect(fault == .badInput)
            #expect(
                message
                    == "the unit: the exact trace of layer \"fc\" is 5.0, but tr(A) tr(B) is 0.0, so no scalar balances it. "
                    + "Correct \"exact_trace\" where a file states it, use the normalization \"expand\", write "
                    + "\"balance: none\", or leave the layer out with \"layers\"."
            )
            // A trace of zero would take the layer out of every sum.
            let (zero, _) = try await bench.fault(balance(.measured(measured), blob, [[3], [2], [0]]))
            #expect(zero == .badInput)
        }
    }
}
