import Identifiers
import LinearAlgebra
import TestSupport
import Testing
import UnitOperations
import WireProtocol

@testable import WorkerService

/// The compression of matrices for files, and their import.
@Suite(.timeLimit(.minutes(5)))
struct CompressTests {
    @Test func `a diagonal matrix has no loss, and a strength multiplies it first`() async throws {
        try await Bench.run { bench in
            let blob = try bench.put([Float(2), 0, 3, 0, 0, 7])
            let operation = CompressOperation(dimension: 3, form: .lowRank(rank: 0), strength: 2)
            let result = try await bench.result(BenchUnit(operation, reading: [blob]))
            #expect(try bench.elements(result.blobs[0]) == [4, 6, 14])
            #expect(
                result.measurements == [
                    .relativeError: [0], .smallestEigenvalue: [4], .meanEigenvalue: [8], .diagonalShift: [0],
                ])
        }
    }

    /// The blocks of [[1, 1], [1, 1]] are ones; its share of the norm that is lost is √(2/4).
    @Test func `what blocks lose is measured`() async throws {
        try await Bench.run { bench in
            let blob = try bench.put([Float(1), 1, 1])
            let operation = CompressOperation(dimension: 2, form: .blockDiagonal(blocks: 2))
            let result = try await bench.result(BenchUnit(operation, reading: [blob]))
            #expect(try bench.elements(result.blobs[0]) == [1, 1])
            expectClose(result.measurements[.relativeError] ?? [], [Double(0.5).squareRoot()], absolute: 1e-12)
            expectClose(result.measurements[.smallestEigenvalue] ?? [], [1], absolute: 1e-12)
        }
    }

    @Test(arguments: [false, true]) func `a negative eigenvalue is lifted to 0 on request`(repairs: Bool) async throws {
        try await Bench.run { bench in
            // bf16 has steps of 2 here: it makes [[256, 258], [258, 260]] of it. Its eigenvalues are 258 ± √(4 + 258²).
            // With 600 beside it, the negative one is less than 1e-5 of the trace.
            let blob = try bench.put([Float(257), 257.5, 259, 0, 0, 600])
            let operation = CompressOperation(dimension: 3, form: .bf16, repairs: repairs)
            let result = try await bench.result(BenchUnit(operation, reading: [blob]))
            let smallest = 258 - (4 + 258.0 * 258).squareRoot()
            expectClose(
                result.measurements[.smallestEigenvalue] ?? [], [repairs ? 0 : smallest], absolute: 1e-10)
            expectClose(result.measurements[.diagonalShift] ?? [], [repairs ? -smallest : 0], absolute: 1e-10)
        }
    }

    /// The same without 600: its eigenvalue is below −1e-5 of the trace, which every reader refuses.
    @Test(arguments: [false, true])
    func `an eigenvalue that no reader takes is lifted without a request`(repairs: Bool) async throws {
        try await Bench.run { bench in
            let blob = try bench.put([Float(257), 257.5, 259])
            let operation = CompressOperation(dimension: 2, form: .bf16, repairs: repairs)
            let result = try await bench.result(BenchUnit(operation, reading: [blob]))
            expectClose(result.measurements[.smallestEigenvalue] ?? [], [0], absolute: 1e-10)
            expectClose(
                result.measurements[.diagonalShift] ?? [], [(4 + 258.0 * 258).squareRoot() - 258], absolute: 1e-10)
        }
    }

    @Test func `values that the form or fp32 cannot hold are an error of the input`() async throws {
        try await Bench.run { bench in
            let blob = try bench.put([Float(1), 0, .greatestFiniteMagnitude])
            let (fault, message) = try await bench.fault(
                BenchUnit(CompressOperation(dimension: 2, form: .bf16), reading: [blob]))
            #expect(fault == .badInput)
            #expect(
                message
                    == "the unit: row 1 holds values that bf16 cannot hold. Choose another form, or scale the captures "
                    + "or factors of all tasks down.")
            let (other, strong) = try await bench.fault(
                BenchUnit(CompressOperation(dimension: 2, form: .int8, strength: 2), reading: [blob]))
            #expect(other == .badInput)
            #expect(
                strong == "the unit: the strength 2.0 makes it larger than fp32 can hold. Lower it in \"groups\".")
        }
    }

    private static let forms: [CompressedForm] = [.bf16, .int8, .blockDiagonal(blocks: 2), .lowRank(rank: 2)]

    @Test(arguments: forms, [true, false])
    func `a compressed factor is imported as it is decoded`(form: CompressedForm, isVisible: Bool) async throws {
        let dimension = 70
        let elements = (0..<dimension).flatMap { row in
            (0...row).map { $0 == row ? Float(90) : Float((row + $0) % 5) / 4 }
        }
        let matrix = try PackedSymmetricMatrix<Float>(dimension: dimension, elements: elements)
        let compressed = try CompressedSymmetricMatrix(compressing: matrix, as: form)
        try await Bench.run { bench in
            let stored = try StoredFactor(bytes: compressed.bytes, isVisible: isVisible, at: 3, of: bench)
            let operation = ImportOperation(
                shape: .full(dimension), elementType: .f32, isPacked: true, slice: stored.slice,
                compression: Compression(form: form, shift: 0.25))
            let result = try await bench.result(BenchUnit(operation, files: [3: stored.file], about: "fc.A"))
            let expected = try compressed.decoded(shift: 0.25).elements.map { Float($0) }
            #expect(try bench.elements(result.blobs[0]) == expected)
        }
    }

    @Test func `an imported factor that is damaged is named`() async throws {
        try await Bench.run { bench in
            // w = (1, 1) and d = (0, −4).
            let numbers: [Float] = [1, 1, 0, -4]
            let bytes = numbers.flatMap { value in
                (0..<4).map { UInt8(truncatingIfNeeded: value.bitPattern >> UInt32(8 * $0)) }
            }
            let stored = try StoredFactor(bytes: bytes, isVisible: true, at: 3, of: bench)
            let operation = ImportOperation(
                shape: .full(2), elementType: .f32, isPacked: true, slice: stored.slice,
                compression: Compression(form: .lowRank(rank: 1)))
            let (fault, message) = try await bench.fault(
                BenchUnit(operation, files: [3: stored.file], about: "fc.A"))
            #expect(fault == .badInput)
            #expect(
                message
                    == "\(stored.file.path): the unit: the diagonal element of row 1 is -3.0; expected a sum of squares, "
                    + "which is never negative. Compute the factor again.")
        }
    }
}
