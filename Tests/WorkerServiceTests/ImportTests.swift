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

/// Factors of finished sets, from a file that the worker can read, or streamed to it.
@Suite(.timeLimit(.minutes(5)))
struct ImportTests {
    /// The layout of a factor in its file.
    struct Layout: Sendable, CustomTestStringConvertible {
        let type: ElementType
        let isPacked: Bool
        let isVisible: Bool
        var testDescription: String { "\(type), packed \(isPacked), visible \(isVisible)" }

        static let all = [ElementType.f32, .f64].flatMap { type in
            [true, false].flatMap { packed in
                [true, false].map { Layout(type: type, isPacked: packed, isVisible: $0) }
            }
        }
    }

    /// A file with one factor, and the operation that imports it.
    private func factor(
        _ bench: Bench, _ layout: Layout, dimension: Int, _ element: (_ row: Int, _ column: Int) -> Double
    ) throws -> (operation: ImportOperation, files: [Int: LeasedFile]) {
        var values: [Double] = []
        for row in 0..<dimension {
            for column in 0..<(layout.isPacked ? row + 1 : dimension) { values.append(element(row, column)) }
        }
        let stored = try StoredFactor(values, as: layout.type, isVisible: layout.isVisible, at: 3, of: bench)
        let operation = ImportOperation(
            shape: .full(dimension), elementType: layout.type, isPacked: layout.isPacked, slice: stored.slice)
        return (operation, [3: stored.file])
    }

    @Test(arguments: Layout.all) func `the lower triangle becomes a packed factor`(_ layout: Layout) async throws {
        try await Bench.run { bench in
            let (operation, files) = try factor(bench, layout, dimension: 3) { $0 == $1 ? 4 : Double($0 + $1) }
            let result = try await bench.result(BenchUnit(operation, files: files, about: "fc.A"))
            #expect(try bench.elements(result.blobs[0]) == [4, 1, 4, 2, 3, 4])
            #expect(result.measurements == [.trace: [12]])
        }
    }

    private func element(_ row: Int, _ column: Int) -> Float {
        row == column ? 1e5 : Float((7 * max(row, column) + min(row, column)) % 8)
    }

    @Test(arguments: [true, false])
    func `a factor larger than a piece is read in pieces`(_ isVisible: Bool) async throws {
        try await Bench.run { bench in
            // 1100² elements of fp32 are 4.8 MB, which is two pieces.
            let layout = Layout(type: .f32, isPacked: false, isVisible: isVisible)
            let (operation, files) = try factor(bench, layout, dimension: 1100) { Double(element($0, $1)) }
            let result = try await bench.result(BenchUnit(operation, files: files, about: "fc.A"))
            let expected = (0..<1100).flatMap { row in (0...row).map { element(row, $0) } }
            #expect(try bench.elements(result.blobs[0]) == expected)
            #expect(result.measurements == [.trace: [1.1e8]])
        }
    }

    @Test(arguments: Layout.all) func `a row with NaN is named`(_ layout: Layout) async throws {
        try await Bench.run { bench in
            let (operation, files) = try factor(bench, layout, dimension: 3) { $0 == 2 && $1 == 1 ? .nan : 1 }
            let (fault, message) = try await bench.fault(BenchUnit(operation, files: files, about: "fc.A"))
            #expect(fault == .badInput)
            #expect(
                message == "\(try #require(files[3]).path): the unit: row 2 holds NaN or infinity, first in column "
                    + "1; expected finite values. Compute the factor again.")
        }
    }

    /// A matrix that is not a factor, and the error message for it.
    struct Flawed: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let elements: [Double]
        let problem: String

        static let all = [
            Flawed(
                testDescription: "NaN above the diagonal", elements: [1, .nan, 0, 1],
                problem: "row 0 holds NaN or infinity, first in column 1"),
            Flawed(
                testDescription: "infinity", elements: [1, 0, .infinity, 1],
                problem: "row 1 holds NaN or infinity, first in column 0"),
            Flawed(
                testDescription: "the upper triangle only", elements: [1, 0.5, 0, 1],
                problem: "is 0.0 at (1, 0) but 0.5 at (0, 1); expected a symmetric matrix. Store both triangles"),
            Flawed(
                testDescription: "the lower triangle only", elements: [1, 0, 0.5, 1],
                problem: "is 0.5 at (1, 0) but 0.0 at (0, 1)"),
            Flawed(
                testDescription: "negative definite", elements: [-1, 0, 0, -1],
                problem: "the diagonal element of row 0 is -1.0"),
            Flawed(
                testDescription: "indefinite", elements: [1, 1.01, 1.01, 1],
                problem: "has an eigenvalue below −1e-05 of its trace (2.0)"),
            Flawed(
                testDescription: "beyond fp32", elements: [1e39, 0, 0, 1],
                problem: "\(KroneckerFactorsError.exceedsStorage(row: 0))"),
            Flawed(
                testDescription: "beyond fp32 off the diagonal",
                elements: [3.4028e38, 3.4029e38, 3.4029e38, 3.4028e38],
                problem: "\(KroneckerFactorsError.exceedsStorage(row: 1))"),
            Flawed(testDescription: "below fp32", elements: [1e-45, 0, 0, 1e-45], problem: "vanishes in fp32"),
        ]
    }

    @Test(arguments: Flawed.all) func `what is no factor is refused before it is used`(flawed: Flawed) async throws {
        try await Bench.run { bench in
            let layout = Layout(type: .f64, isPacked: false, isVisible: true)
            let (operation, files) = try factor(bench, layout, dimension: 2) { flawed.elements[$0 * 2 + $1] }
            let (fault, message) = try await bench.fault(BenchUnit(operation, files: files, about: "fc.A"))
            #expect(fault == .badInput)
            #expect(message.hasPrefix("\(try #require(files[3]).path): the unit: \(flawed.problem)"), "\(message)")
        }
    }

    @Test func `rounding below zero and between the triangles is none of these`() async throws {
        try await Bench.run { bench in
            let layout = Layout(type: .f64, isPacked: false, isVisible: true)
            let (operation, files) = try factor(bench, layout, dimension: 2) {
                [1, 1 + 1e-7, 1 + 2e-7, 1][$0 * 2 + $1]
            }
            let result = try await bench.result(BenchUnit(operation, files: files, about: "fc.A"))
            #expect(try bench.elements(result.blobs[0]).count == 3)
        }
    }

    @Test func `a slice of another size makes the lease malformed`() async throws {
        try await Bench.run { bench in
            let layout = Layout(type: .f32, isPacked: false, isVisible: true)
            let (whole, files) = try factor(bench, layout, dimension: 2) { _, _ in 1 }
            var operation = whole
            operation.slice.byteCount = 12
            let (fault, message) = try await bench.fault(BenchUnit(operation, files: files, about: "fc.A"))
            #expect(fault == .world)
            #expect(message == "the unit: the lease is malformed: factor \"fc.A\" has 12 bytes for dimension 2")
        }
    }
}
