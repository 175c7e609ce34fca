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

/// Factors of samples with different numbers of rows, reduced by the sample numbers beside the rows.
@Suite(.timeLimit(.minutes(5)))
struct SampleReductionTests {
    /// Files with rows of two columns and their sample numbers.
    private struct Capture {
        var slices: [RowSlice] = []
        var numbers: [SampleNumbers] = []
        var files: [Int: LeasedFile] = [:]
        var paths: [String] = []
    }

    /// Writes one file for each list of sample numbers; the numbers repeat for each probe.
    private func written(
        _ bench: Bench, _ rows: [[[Float]]], samples: [[Int64]], isWide: Bool = false, counts: [Int]? = nil
    ) throws -> Capture {
        var capture = Capture()
        for (index, rows) in rows.enumerated() {
            try add(
                rows, samples[index], isWide: isWide, count: counts?[index] ?? 9, file: index, to: &capture, bench)
        }
        return capture
    }

    private func add(
        _ rows: [[Float]], _ samples: [Int64], isWide: Bool, count: Int, file index: Int, to capture: inout Capture,
        _ bench: Bench
    ) throws {
        let path = FilePath(bench.directory.appending("\(index).safetensors"))
        let type: TensorDataType = isWide ? .int64 : .int32
        let tensors = [
            TensorDescription(name: "l.input", dataType: .float32, shape: [rows.count, 2]),
            TensorDescription(name: "l.row_samples", dataType: type, shape: [samples.count]),
        ]
        let writer = try SafetensorsWriter(path: path, tensors: tensors)
        let elements = rows.flatMap { $0 }
        try writer.write(elements.span.bytes, to: "l.input")
        if isWide {
            try writer.write(samples.span.bytes, to: "l.row_samples")
        } else {
            let narrow = samples.map { Int32($0) }
            try writer.write(narrow.span.bytes, to: "l.row_samples")
        }
        try writer.finish()
        let file = try SafetensorsFile(opening: path)
        let rowBytes = 8 * rows.count
        let numberBytes = (isWide ? 8 : 4) * samples.count
        let rowRange = try file.fileRange(of: "l.input", at: 0, count: rowBytes)
        let numberRange = try file.fileRange(of: "l.row_samples", at: 0, count: numberBytes)
        let rowSlice = FileSlice(file: index, offset: UInt64(rowRange.lowerBound), byteCount: UInt64(rowBytes))
        let numberSlice = FileSlice(
            file: index, offset: UInt64(numberRange.lowerBound), byteCount: UInt64(numberBytes))
        capture.slices.append(RowSlice(slice: rowSlice, rows: rows.count))
        capture.numbers.append(SampleNumbers(slice: numberSlice, isWide: isWide, samples: count))
        capture.files[index] = LeasedFile(
            path: path.string, byteCount: UInt64(file.identity.byteCount),
            headerDigest: BlobDigest(sha256: file.identity.headerDigest))
        capture.paths.append(path.string)
    }

    private func unit(
        _ capture: Capture, isMean: Bool, chunkRows: Int, appendsOnes: Bool = true, divisor: Double = 1
    ) -> BenchUnit {
        BenchUnit(
            FactorOperation(
                columns: 2, appendsOnes: appendsOnes, elementType: .f32, rowSlices: capture.slices,
                chunkRows: chunkRows, reduction: .none,
                sampleReduction: SampleReduction(isMean: isMean, numbers: capture.numbers), divisor: divisor),
            files: capture.files, about: "l.input")
    }

    private func randomRows(_ count: Int, seed: UInt64) -> [[Float]] {
        var random = SplitMix64(seed: seed)
        return (0..<count).map { _ in random.values(2).map { Float($0) } }
    }

    /// The sum or mean of the rows of each sample.
    private static func reduced(_ rows: [[Float]], lengths: [Int], isMean: Bool) -> [[Double]] {
        var reduced: [[Double]] = []
        var first = 0
        for length in lengths {
            var sum = [0.0, 0.0]
            for row in rows[first..<first + length] {
                sum[0] += Double(row[0])
                sum[1] += Double(row[1])
            }
            reduced.append(sum.map { $0 / (isMean ? Double(length) : 1) })
            first += length
        }
        return reduced
    }

    /// Σ r rᵀ over rows with a one, packed.
    private func gram(_ rows: [[Double]]) -> [Double] {
        var gram: [Double] = []
        for i in 0..<3 {
            for j in 0...i {
                gram.append(rows.map { row in (row + [1])[i] * (row + [1])[j] }.reduce(0, +))
            }
        }
        return gram
    }

    /// Two files, two probes in the second: samples of 3, 1, 5 rows, and of 2, 1, 1 rows for each probe.
    @Test(arguments: [1, 2, 3, 4, 6, 100], [true, false])
    func `rows of each sample become one, wherever chunks end`(chunkRows: Int, isMean: Bool) async throws {
        let rows = [randomRows(9, seed: 1), randomRows(8, seed: 2)]
        let lengths = [[3, 1, 5], [2, 1, 1, 2, 1, 1]]
        let reduced = zip(rows, lengths).flatMap { Self.reduced($0, lengths: $1, isMean: isMean) }
        try await Bench.run { bench in
            let capture = try written(
                bench, rows, samples: [[0, 0, 0, 2, 7, 7, 7, 7, 7], [3, 3, 4, 5]], isWide: isMean)
            let result = try await bench.result(unit(capture, isMean: isMean, chunkRows: chunkRows))
            let found = try bench.elements(result.blobs[0]).map(Double.init)
            let expected = gram(reduced)
            #expect(found.count == 6)
            for (found, expected) in zip(found, expected) {
                #expect(abs(found - expected) < 1e-5 * max(1, abs(expected)))
            }
            #expect(found[5] == 9)
        }
    }

    @Test(arguments: [true, false])
    func `samples of equal length give the bytes of the plan's own reduction`(isMean: Bool) async throws {
        try await Bench.run { bench in
            let capture = try written(
                bench, [randomRows(21, seed: 3)], samples: [(0..<7).flatMap { [$0, $0, $0] }])
            let plain = BenchUnit(
                FactorOperation(
                    columns: 2, appendsOnes: true, elementType: .f32, rowSlices: capture.slices, chunkRows: 6,
                    reduction: isMean ? .mean(positions: 3) : .sum(positions: 3), divisor: 7),
                files: capture.files, about: "l.input")
            let expected = try await bench.result(plain)
            for chunkRows in [6, 7, 8] {
                let found = try await bench.result(
                    unit(capture, isMean: isMean, chunkRows: chunkRows, divisor: 7))
                #expect(found == expected)
            }
        }
    }

    @Test(arguments: [
        (
            [0, 0, 2, 1],
            "decrease from 2 to 1 in row 3; expected all rows of a sample one after the other, samples in "
                + "order. Sort the rows by sample."
        ),
        (
            [0, 1, 1, 4],
            "state sample 4 for row 3; expected 0 to 3, one of the 4 samples. Correct them, or the number of "
                + "samples."
        ),
        (
            [-1, 1, 1, 2],
            "state sample -1 for row 0; expected 0 to 3, one of the 4 samples. Correct them, or the number "
                + "of samples."
        ),
    ])
    func `sample numbers that decrease or that no sample has fail the job`(
        numbers: [Int64], problem: String
    ) async throws {
        try await Bench.run { bench in
            let capture = try written(bench, [randomRows(4, seed: 4)], samples: [numbers], counts: [4])
            let (fault, message) = try await bench.fault(unit(capture, isMean: true, chunkRows: 2))
            #expect(fault == .badInput)
            #expect(message == "\(capture.paths[0]): the \"row_samples\" of tensor \"l.input\" \(problem)")
        }
    }

    @Test(arguments: [1, 2, 3, 100])
    func `a row with NaN is named, also in the middle of a long sample`(chunkRows: Int) async throws {
        var rows = randomRows(6, seed: 5)
        rows[2][1] = .nan
        try await Bench.run { bench in
            let capture = try written(bench, [rows], samples: [[0, 1, 1, 1, 1, 2]])
            let (_, message) = try await bench.fault(unit(capture, isMean: false, chunkRows: chunkRows))
            #expect(
                message == "\(capture.paths[0]): tensor \"l.input\" holds NaN or infinity, first in row 2; expected "
                    + "finite values. Capture the task again.")
        }
    }
}
