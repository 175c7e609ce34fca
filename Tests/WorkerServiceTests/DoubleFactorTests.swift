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

/// Factors that are also given as F64: against sums of products in fp64, and with the digits that fp32 drops.
@Suite(.timeLimit(.minutes(5)))
struct DoubleFactorTests {
    private static let columns = 5
    private static let rows = 24

    /// A file with rows, and with the number of each row's sample.
    private struct Capture {
        let rows: RowSlice
        let numbers: SampleNumbers
        let files: [Int: LeasedFile]
        let values: [[Double]]
    }

    /// Samples of 1, 2, 5, 7 and 9 rows.
    private static let samples: [Int32] = [1, 2, 5, 7, 9].enumerated().flatMap { number, count in
        [Int32](repeating: Int32(number), count: count)
    }

    private func captured(_ bench: Bench) throws -> Capture {
        let path = FilePath(bench.directory.appending("rows.safetensors"))
        var random = SplitMix64(seed: 12)
        let elements = random.values(Self.rows * Self.columns).map { Float($0) }
        let samples = Self.samples
        let writer = try SafetensorsWriter(
            path: path,
            tensors: [
                TensorDescription(name: "fc.input", dataType: .float32, shape: [Self.rows, Self.columns]),
                TensorDescription(name: "fc.row_samples", dataType: .int32, shape: [Self.rows]),
            ])
        try writer.write(elements.span.bytes, to: "fc.input")
        try writer.write(samples.span.bytes, to: "fc.row_samples")
        try writer.finish()
        let file = try SafetensorsFile(opening: path)
        func slice(_ tensor: String, _ byteCount: Int) throws -> FileSlice {
            let range = try file.fileRange(of: tensor, at: 0, count: byteCount)
            return FileSlice(file: 0, offset: UInt64(range.lowerBound), byteCount: UInt64(byteCount))
        }
        return Capture(
            rows: RowSlice(slice: try slice("fc.input", 4 * Self.rows * Self.columns), rows: Self.rows),
            numbers: SampleNumbers(slice: try slice("fc.row_samples", 4 * Self.rows), isWide: false, samples: 5),
            files: [
                0: LeasedFile(
                    path: path.string, byteCount: UInt64(file.identity.byteCount),
                    headerDigest: BlobDigest(sha256: file.identity.headerDigest))
            ],
            values: (0..<Self.rows).map { row in
                elements[row * Self.columns..<(row + 1) * Self.columns].map(Double.init)
            })
    }

    /// How rows become those of the product.
    enum Reduction: Sendable, CaseIterable { case none, positions, samples }

    private func reduced(_ values: [[Double]], _ reduction: Reduction) -> [[Double]] {
        let lengths: [Int] =
            switch reduction {
            case .none: [Int](repeating: 1, count: values.count)
            case .positions: [Int](repeating: 3, count: values.count / 3)
            case .samples: [1, 2, 5, 7, 9]
            }
        var first = 0
        return lengths.map { length in
            defer { first += length }
            return (0..<Self.columns).map { column in
                values[first..<first + length].reduce(0) { $0 + $1[column] } / Double(length)
            }
        }
    }

    /// Σ r rᵀ / divisor of rows with a one, packed or only its diagonal.
    private func gram(_ rows: [[Double]], divisor: Double, isDiagonal: Bool) -> [Double] {
        let rows = rows.map { $0 + [1] }
        return (0...Self.columns).flatMap { row in
            (isDiagonal ? row...row : 0...row).map { column in
                rows.reduce(0) { $0 + $1[row] * $1[column] } / divisor
            }
        }
    }

    private func unit(_ capture: Capture, _ reduction: Reduction, isDiagonal: Bool, divisor: Double?) -> BenchUnit {
        var operation = FactorOperation(
            columns: Self.columns, appendsOnes: true, elementType: .f32, rowSlices: [capture.rows], chunkRows: 12,
            reduction: reduction == .positions ? .mean(positions: 3) : .none,
            sampleReduction: reduction == .samples
                ? SampleReduction(isMean: true, numbers: [capture.numbers]) : nil,
            divisor: divisor, isDiagonal: isDiagonal)
        operation.givesDouble = true
        return BenchUnit(operation, files: capture.files, about: "fc.input")
    }

    /// Expects a factor in both forms, of which the first is the second, rounded.
    private func expectBoth(
        _ bench: Bench, _ blobs: ArraySlice<BlobReference>, _ expected: [Double], relative: Double = 0
    ) throws {
        let (first, second) = (blobs.startIndex, blobs.endIndex - 1)
        let doubles = try bench.elements(blobs[second], of: Double.self)
        expectClose(doubles, expected, relative: relative)
        #expect(try bench.elements(blobs[first]) == doubles.map { Float($0) })
    }

    // MARK: - From rows

    @Test(arguments: Reduction.allCases, FactorBackendRegistry.backends.map(\.name))
    func `a factor of rows has both forms, with every backend`(_ reduction: Reduction, _ name: String) async throws {
        let backend = try FactorBackendRegistry.backend(named: name)
        try await Bench.run(backend: backend) { bench in
            let capture = try captured(bench)
            let result = try await bench.result(unit(capture, reduction, isDiagonal: false, divisor: 7))
            let expected = gram(reduced(capture.values, reduction), divisor: 7, isDiagonal: false)
            #expect(result.blobs.count == 2)
            try expectBoth(bench, result.blobs[...], expected, relative: 1e-12)
            let factor = try bench.elements(result.blobs[0])
            #expect(result.measurements[.trace] == [[0, 2, 5, 9, 14, 20].reduce(0) { $0 + Double(factor[$1]) }])
        }
    }

    @Test func `a diagonal has both forms`() async throws {
        try await Bench.run { bench in
            let capture = try captured(bench)
            let result = try await bench.result(unit(capture, .none, isDiagonal: true, divisor: 7))
            try expectBoth(
                bench, result.blobs[...], gram(capture.values, divisor: 7, isDiagonal: true), relative: 1e-12)
        }
    }

    @Test func `parts and their sum keep the digits`() async throws {
        try await Bench.run { bench in
            let capture = try captured(bench)
            let part = try await bench.result(unit(capture, .none, isDiagonal: false, divisor: nil))
            #expect(part.blobs.count == 1)
            var combine = CombineOperation(partCount: 2, shape: .full(Self.columns + 1), divisor: 14)
            combine.givesDouble = true
            let sum = try await bench.result(BenchUnit(combine, reading: [part.blobs[0], part.blobs[0]]))
            try expectBoth(
                bench, sum.blobs[...], gram(capture.values, divisor: 7, isDiagonal: false), relative: 1e-12)
        }
    }

    /// The lane keeps one accumulator, and each kind of unit finds its own.
    @Test func `units in fp32 and in fp64 take turns on a lane`() async throws {
        try await Bench.run { bench in
            let capture = try captured(bench)
            let double = unit(capture, .none, isDiagonal: false, divisor: 7)
            var operation = try #require(double.operation as? FactorOperation)
            operation.givesDouble = false
            let single = BenchUnit(operation, files: capture.files, about: "fc.input")
            let results = [
                try await bench.result(single), try await bench.result(double), try await bench.result(single),
                try await bench.result(double),
            ]
            #expect(results[0] == results[2])
            #expect(results[1] == results[3])
            #expect(results.map(\.blobs.count) == [1, 2, 1, 2])
        }
    }

    @Test func `counts of indices have both forms`() async throws {
        try await Bench.run { bench in
            let path = FilePath(bench.directory.appending("ids.safetensors"))
            let ids: [Int32] = [0, 2, 2, 0, 2]
            let writer = try SafetensorsWriter(
                path: path, tensors: [TensorDescription(name: "e.input", dataType: .int32, shape: [5])])
            try writer.write(ids.span.bytes, to: "e.input")
            try writer.finish()
            let file = try SafetensorsFile(opening: path)
            let range = try file.fileRange(of: "e.input", at: 0, count: 20)
            var operation = IndexFactorOperation(
                indexCount: 3, appendsOnes: true, indexType: .i32,
                rowSlices: [
                    RowSlice(slice: FileSlice(file: 0, offset: UInt64(range.lowerBound), byteCount: 20), rows: 5)
                ], chunkRows: 2, divisor: 7)
            operation.givesDouble = true
            let leased = LeasedFile(
                path: path.string, byteCount: UInt64(file.identity.byteCount),
                headerDigest: BlobDigest(sha256: file.identity.headerDigest))
            let result = try await bench.result(BenchUnit(operation, files: [0: leased], about: "e.input"))
            try expectBoth(bench, result.blobs[...], [2.0 / 7, 0, 3.0 / 7, 5.0 / 7])
        }
    }

    // MARK: - From files

    private static let fine = [4 + 0x1p-40, 1 - 0x1p-45, 2 + 0x1p-50]

    @Test func `a stored factor of F64 keeps its digits`() async throws {
        try await Bench.run { bench in
            for isDiagonal in [true, false] {
                let values = Self.fine
                let stored = try StoredFactor(values, as: .f64, isVisible: true, at: isDiagonal ? 1 : 2, of: bench)
                var operation = ImportOperation(
                    shape: isDiagonal ? .diagonal(3) : .full(2), elementType: .f64, isPacked: true,
                    slice: stored.slice)
                operation.givesDouble = true
                let result = try await bench.result(
                    BenchUnit(operation, files: [stored.slice.file: stored.file], about: "fc.A"))
                try expectBoth(bench, result.blobs[...], values)
            }
        }
    }

    @Test func `partial sums of F64 keep their digits`() async throws {
        try await Bench.run { bench in
            let stored = try StoredFactor(Self.fine, as: .f64, isVisible: true, at: 1, of: bench)
            for isDiagonal in [true, false] {
                var operation = SumPartialsOperation(
                    shape: isDiagonal ? .diagonal(3) : .full(2), elementType: .f64,
                    slices: [stored.slice, stored.slice], divisor: 4)
                operation.givesDouble = true
                let result = try await bench.result(
                    BenchUnit(operation, files: [1: stored.file], about: "fc.A"))
                try expectBoth(bench, result.blobs[...], Self.fine.map { $0 / 2 })
            }
        }
    }

    // MARK: - From factors

    @Test func `a balanced B is made of the F64 form`() async throws {
        try await Bench.run { bench in
            var operation = BalanceOperation(shape: .full(2), scalar: .stated(0.5))
            operation.givesDouble = true
            let result = try await bench.result(BenchUnit(operation, reading: [try bench.put(Self.fine)]))
            try expectBoth(bench, result.blobs[...], Self.fine.map { $0 / 2 })
        }
    }

    /// One use's product is itself, up to the scale of A, whose trace becomes 1.
    @Test func `a sum over uses is made of the F64 forms`() async throws {
        try await Bench.run { bench in
            var operation = SumUsesOperation(inputShape: .diagonal(3), gradientShape: .full(2), useCount: 1)
            operation.givesDouble = true
            let (input, gradient) = ([1 + 0x1p-40, 2, 1 - 0x1p-40], Self.fine)
            let result = try await bench.result(
                BenchUnit(operation, reading: [try bench.put(input), try bench.put(gradient)]))
            #expect(result.blobs.count == 4)
            for (position, expected) in [input.map { $0 / 4 }, gradient.map { $0 * 4 }].enumerated() {
                let doubles = try bench.elements(result.blobs[2 + position], of: Double.self)
                expectClose(doubles, expected, relative: 1e-14)
                #expect(try bench.elements(result.blobs[position]) == doubles.map { Float($0) })
            }
            #expect(result.measurements[.trace]?.count == 2)
        }
    }
}
