import Identifiers
import KroneckerFactors
import LinearAlgebra
import Safetensors
import SystemPackage
import TestSupport
import Testing
import UnitOperations
import WireProtocol

@testable import WorkerService

/// Sums of partial sums, from files that the worker can read, or streamed to it.
@Suite(.timeLimit(.minutes(5)))
struct SumPartialsTests {
    /// The form of the files.
    struct Form: Sendable, CustomTestStringConvertible {
        let type: ElementType
        let isVisible: Bool
        var testDescription: String { "\(type), visible \(isVisible)" }

        static let all = [ElementType.f32, .f64].flatMap { type in
            [true, false].map { Form(type: type, isVisible: $0) }
        }
    }

    /// A file for each part, and the operation that sums them.
    private func sum(
        _ bench: Bench, _ parts: [[Double]], dimension: Int, _ form: Form = Form(type: .f64, isVisible: true),
        divisor: Double? = 1
    ) throws -> BenchUnit {
        let stored = try parts.enumerated().map { position, values in
            try StoredFactor(values, as: form.type, isVisible: form.isVisible, at: position, of: bench)
        }
        let operation = SumPartialsOperation(
            shape: .full(dimension), elementType: form.type, slices: stored.map(\.slice), divisor: divisor)
        let files = Dictionary(uniqueKeysWithValues: stored.map { ($0.slice.file, $0.file) })
        return BenchUnit(operation, files: files, about: "fc.A")
    }

    @Test(arguments: Form.all) func `parts are summed and divided`(_ form: Form) async throws {
        try await Bench.run { bench in
            let parts: [[Double]] = [[4, 1, 2], [8, -2, 6], [0, 0, 0]]
            let result = try await bench.result(try sum(bench, parts, dimension: 2, form, divisor: 4))
            #expect(try bench.elements(result.blobs[0]) == [3, -0.25, 2])
            #expect(result.measurements == [.trace: [5]])
        }
    }

    @Test(arguments: Form.all) func `a sum without a divisor stays fp64`(_ form: Form) async throws {
        try await Bench.run { bench in
            let result = try await bench.result(
                try sum(bench, [[4, 1, 2], [8, -2, 6]], dimension: 2, form, divisor: nil))
            #expect(try bench.elements(result.blobs[0], of: Double.self) == [12, -1, 8])
            #expect(result.measurements == [:])
        }
    }

    @Test func `the sum is of fp64, in the order of the parts, and rounded once`() async throws {
        try await Bench.run { bench in
            // 1 is lost beside 2^53 when it is added after it, and not when both ones come first.
            for (parts, expected) in [([0x1p53, 1, 1], 0x1p53), ([1, 1, 0x1p53], 0x1p53 + 2)] {
                let unit = try sum(bench, parts.map { [$0] }, dimension: 1, divisor: nil)
                let result = try await bench.result(unit)
                #expect(try bench.elements(result.blobs[0], of: Double.self) == [expected])
            }
        }
    }

    @Test(arguments: Form.all) func `a sum larger than a piece is read in pieces`(_ form: Form) async throws {
        // 1500 rows of F32 are 4.5 MB, and of F64 9 MB: two and three pieces.
        let dimension = 1500
        func part(_ scale: Double) -> [Double] {
            var elements: [Double] = []
            for row in 0..<dimension {
                for column in 0...row { elements.append(row == column ? scale * 1e5 : scale * Double(column % 8)) }
            }
            return elements
        }
        try await Bench.run { bench in
            let unit = try sum(bench, [part(1), part(2)], dimension: dimension, form, divisor: 3)
            let result = try await bench.result(unit)
            #expect(try bench.elements(result.blobs[0]) == part(1).map { Float($0) })
        }
    }

    /// A part that is no sum of squares, beside a sound one, and the message about it.
    struct Flawed: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let elements: [Double]
        let problem: String

        static let all = [
            Flawed(
                testDescription: "NaN", elements: [1, .nan, 1],
                problem:
                    "row 1 holds NaN or infinity, first in column 0; expected finite values. Compute the factor again."),
            Flawed(
                testDescription: "infinity", elements: [1, 0, .infinity],
                problem:
                    "row 1 holds NaN or infinity, first in column 1; expected finite values. Compute the factor again."),
            Flawed(
                testDescription: "a negative diagonal element", elements: [-1, 0, 1],
                problem:
                    "the diagonal element of row 0 is -1.0; expected a sum of squares, which is never negative. Compute "
                    + "the factor again."),
            Flawed(
                testDescription: "indefinite", elements: [1, 9, 1],
                problem:
                    "has an eigenvalue below −1e-05 of its trace (2.0); expected a positive semi-definite matrix. Compute "
                    + "the factor again, in fp32 or wider, or set its negative eigenvalues to zero."),
        ]
    }

    @Test(arguments: Flawed.all) func `the file of a part that is no sum of squares is named`(flawed: Flawed)
        async throws
    {
        try await Bench.run { bench in
            let unit = try sum(bench, [[2, 0, 2], flawed.elements, [2, 0, 2]], dimension: 2)
            let (fault, message) = try await bench.fault(unit)
            #expect(fault == .badInput)
            #expect(
                message == "\(try #require(unit.files[1]).path): the partial sum of \"fc.A\": \(flawed.problem)")
        }
    }

    @Test func `sums beyond and below fp32 are refused`() async throws {
        try await Bench.run { bench in
            #expect(
                try await bench.fault(try sum(bench, [[1, 0, 1e39]], dimension: 2)).message
                    == "the unit: \(KroneckerFactorsError.exceedsStorage(row: 1))")
            #expect(
                try await bench.fault(try sum(bench, [[1e-45, 0, 1e-45]], dimension: 2)).message
                    == "the unit: vanishes in fp32: its largest diagonal element is 1e-45. Scale the captures or factors "
                    + "of all tasks up.")
            let zero = try await bench.result(try sum(bench, [[0, 0, 0], [0, 0, 0]], dimension: 2))
            #expect(try bench.elements(zero.blobs[0]) == [0, 0, 0])
        }
    }
}
