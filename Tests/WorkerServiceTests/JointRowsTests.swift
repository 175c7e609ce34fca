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

/// Squares, Gram matrices, eigenvectors and combinations of joint rows, against sums in fp64.
@Suite(.timeLimit(.minutes(5)))
struct JointRowsTests {
    /// Rows of one tensor in files, one for each list.
    private func written(_ bench: Bench, _ files: [[Float]], columns: Int) throws -> ([RowSlice], [Int: LeasedFile]) {
        var (slices, leased): ([RowSlice], [Int: LeasedFile]) = ([], [:])
        for (index, values) in files.enumerated() {
            let path = FilePath(bench.directory.appending("\(index).safetensors"))
            let rows = values.count / columns
            let writer = try SafetensorsWriter(
                path: path,
                tensors: [TensorDescription(name: "l.input", dataType: .float32, shape: [rows, columns])])
            try writer.write(values.span.bytes, to: "l.input")
            try writer.finish()
            let file = try SafetensorsFile(opening: path)
            let range = try file.fileRange(of: "l.input", at: 0, count: 4 * values.count)
            slices.append(
                RowSlice(
                    slice: FileSlice(
                        file: index, offset: UInt64(range.lowerBound), byteCount: UInt64(4 * values.count)), rows: rows)
            )
            leased[index] = LeasedFile(
                path: path.string, byteCount: UInt64(file.identity.byteCount),
                headerDigest: BlobDigest(sha256: file.identity.headerDigest))
        }
        return (slices, leased)
    }

    private static let (columns, positions) = (3, 2)

    /// Five samples in two files.
    private static let values: [[Float]] = {
        var random = SplitMix64(seed: 8)
        return [3, 2].map { random.values($0 * columns * positions).map { Float($0) } }
    }()

    /// The joint rows, with the bias's ones, divided by √5.
    private static func expected(_ appendsOnes: Bool) -> [[Double]] {
        let all = values.flatMap { $0 }.map(Double.init)
        return (0..<5).map { sample in
            (0..<positions).flatMap { position in
                let start = (sample * positions + position) * columns
                return (all[start..<start + columns] + (appendsOnes ? [1] : [])).map { $0 / 5.0.squareRoot() }
            }
        }
    }

    private func captured(_ slices: [RowSlice], appendsOnes: Bool) -> JointRows {
        JointRows(
            columns: Self.columns, positions: Self.positions, appendsOnes: appendsOnes,
            source: .captured(.f32, slices, divisor: 5))
    }

    /// The lower triangle of the weighted Gram matrix.
    private func gram(_ rows: [[Double]], _ squares: [Double], width: Int) -> [Double] {
        rows.indices.flatMap { row in
            (0...row).map { other in
                rows[row].indices.reduce(0) { $0 + squares[$1 / width] * rows[row][$1] * rows[other][$1] }
            }
        }
    }

    @Test(arguments: [false, true]) func `squares are means over samples, by position`(appendsOnes: Bool) async throws {
        try await Bench.run { bench in
            let (slices, files) = try written(bench, Self.values, columns: Self.columns)
            let operation = RowSquaresOperation(rows: captured(slices, appendsOnes: appendsOnes))
            let result = try await bench.result(BenchUnit(operation, files: files, about: "l.input"))
            let rows = Self.expected(appendsOnes)
            let width = Self.columns + (appendsOnes ? 1 : 0)
            let squares = (0..<Self.positions).map { position in
                rows.reduce(0) { sum, row in
                    row[position * width..<(position + 1) * width].reduce(sum) { $0 + $1 * $1 }
                }
            }
            expectClose(try #require(result.measurements[.positionSquares]), squares, relative: 1e-12)
        }
    }

    @Test func `the largest weight is that of a layer, or of the constant that all parameters meet`() async throws {
        func weights(_ numbers: [[Double]], parameters: Int, known: Double = 0) async throws -> [Double]? {
            var found: [Double]?
            try await Bench.run { bench in
                let operation = JointWeightsOperation(
                    taskCount: 2, layerCount: 1, parameterCount: parameters, known: known)
                found = try await bench.result(BenchUnit(operation, numbers: numbers)).measurements[.weightSquares]
            }
            return found
        }
        #expect(try await weights([[1, 4], [3, 8]], parameters: 0) == [6, 0])
        #expect(try await weights([[1, 4], [3, 8], [1], [5], [10], [0]], parameters: 2) == [8, 8])
        #expect(try await weights([[1, 4], [3, 8]], parameters: 0, known: 1) == [6, 1])
    }

    @Test(arguments: [false, true]) func `a Gram matrix is weighted by position, and floored`(
        appendsOnes: Bool
    ) async throws {
        try await Bench.run { bench in
            let (slices, files) = try written(bench, Self.values, columns: Self.columns)
            let operation = RowGramOperation(rows: captured(slices, appendsOnes: appendsOnes), weightListCount: 2)
            // The means over two tasks are 2 and 1e-12, as shares of 8: 0.25, and the floor.
            let result = try await bench.result(
                BenchUnit(operation, numbers: [[8, 0], [1, 0], [3, 2e-12]], files: files, about: "l.input"))
            let width = Self.columns + (appendsOnes ? 1 : 0)
            expectClose(
                try bench.elements(result.blobs[0]), gram(Self.expected(appendsOnes), [0.25, 1e-8], width: width),
                absolute: 1e-6)
        }
    }

    @Test func `pseudo-rows of tasks are rows like any others, times their scale`() async throws {
        var random = SplitMix64(seed: 9)
        let parts = [2, 3].map { random.values($0 * 6).map { Float($0) } }
        let rows = JointRows(
            columns: 3, positions: 2, appendsOnes: false,
            source: .parts([.init(rows: 2, scale: 0.5), .init(rows: 3, scale: 1)]))
        let expected = zip(parts, [0.5, 1]).flatMap { part, scale in
            stride(from: 0, to: part.count, by: 6).map { start in part[start..<start + 6].map { scale * Double($0) } }
        }
        try await Bench.run { bench in
            let blobs = try parts.map { try bench.put($0) }
            let operation = RowGramOperation(rows: rows, weightListCount: 1)
            let result = try await bench.result(BenchUnit(operation, reading: blobs, numbers: [[4, 0], [4, 1]]))
            expectClose(
                try bench.elements(result.blobs[0]), gram(expected, [1, 0.25], width: 3), absolute: 1e-6)
            let vectors: [Float] = [1, 0, 2, 0, 0, 0, 0, 0, 0, -1]
            let combination = RowCombinationOperation(rows: rows, rank: 2)
            let combined = try await bench.result(BenchUnit(combination, reading: [try bench.put(vectors)] + blobs))
            let sums = (0..<6).map { expected[0][$0] + 2 * expected[2][$0] } + (0..<6).map { -expected[4][$0] }
            expectClose(try bench.elements(combined.blobs[0]), sums, absolute: 1e-6)
        }
    }

    @Test func `combinations of captured rows hold those of the ones`() async throws {
        try await Bench.run { bench in
            let (slices, files) = try written(bench, Self.values, columns: Self.columns)
            let operation = RowCombinationOperation(rows: captured(slices, appendsOnes: true), rank: 2)
            let vectors: [Float] = [1, 1, 1, 1, 1, 0, 2, 0, -1, 0]
            let result = try await bench.result(
                BenchUnit(operation, reading: [try bench.put(vectors)], files: files, about: "l.input"))
            let rows = Self.expected(true)
            let sums = (0..<2).flatMap { combination in
                rows[0].indices.map { column in
                    rows.indices.reduce(0) { $0 + Double(vectors[5 * combination + $1]) * rows[$1][column] }
                }
            }
            expectClose(try bench.elements(result.blobs[0]), sums, absolute: 1e-6)
        }
    }

    @Test func `eigenvectors are those of the sum of all triangles, and of the constant`() async throws {
        try await Bench.run { bench in
            let blobs = [try bench.put([Float(10), 8, 14]), try bench.put([Float(1.2), 0.6, 2.8])]
            // The constant adds 1 everywhere: its share of the largest weight is 1/4, and its squares are 4.
            let operation = JointEigenvectorsOperation(rows: 2, rank: 2, gramCount: 2, constant: .equal(2))
            let result = try await bench.result(BenchUnit(operation, reading: blobs, numbers: [[8, 2]]))
            expectClose(try bench.elements(result.blobs[0]), [0.6, 0.8, 0.8, -0.6], absolute: 1e-6)
            expectClose(try #require(result.measurements[.constantRows]), [2.8, 0.4], absolute: 1e-6)
            expectClose(try #require(result.measurements[.keptShare]), [1], absolute: 1e-12)
            let parts = JointEigenvectorsOperation(
                rows: 2, rank: 1, gramCount: 2,
                constant: .parts([.init(rows: 1, scale: 0.5), .init(rows: 1, scale: 2)]))
            let one = try await bench.result(BenchUnit(parts, reading: blobs, numbers: [[8, 2], [4], [1]]))
            expectClose(try bench.elements(one.blobs[0]), [0.6, 0.8], absolute: 1e-6)
            expectClose(try #require(one.measurements[.constantRows]), [2.8], absolute: 1e-6)
            expectClose(try #require(one.measurements[.keptShare]), [25.0 / 30], absolute: 1e-6)
            expectClose(
                try #require(one.measurements[.relativeError]), [(25.0 / 650).squareRoot()], absolute: 1e-6)
        }
    }

    private func importing(
        _ content: ImportJointRowsOperation.Content, _ slices: [RowSlice], _ files: [Int: LeasedFile], trace: Double?,
        pooledRows: Double? = nil
    ) -> BenchUnit {
        let isConstant = content == .constant
        return BenchUnit(
            ImportJointRowsOperation(
                content: content,
                parts: [.init(rows: slices[0].slice, rank: isConstant ? 2 : 1, squares: slices[1].slice)],
                positions: isConstant ? 1 : 2, columns: isConstant ? 1 : 3, pooledRows: pooledRows),
            numbers: trace.map { [[$0]] } ?? [], files: files, about: isConstant ? "joint rows" : "l")
    }

    @Test func `the rows of a finished set are copied, with their squares`() async throws {
        let (rows, squares): ([Float], [Float]) = ([1, 2, 3, 4, 5, 6], [91.5, 0.5])
        try await Bench.run { bench in
            let (slices, files) = try written(bench, [rows, squares], columns: 1)
            // A is a mean over two positions, and B their sum.
            for (content, trace) in [(ImportJointRowsOperation.Content.inputs, 46.0), (.gradients, 92)] {
                let result = try await bench.result(importing(content, slices, files, trace: trace))
                #expect(try bench.elements(result.blobs[0]) == rows)
                #expect(result.measurements == [.positionSquares: [91.5, 0.5]])
            }
        }
        try await Bench.run { bench in
            let (slices, files) = try written(bench, [[0.5, 0.75], [1]], columns: 1)
            let alone = try await bench.result(importing(.constant, slices, files, trace: nil))
            #expect(alone.blobs.isEmpty && alone.measurements == [.constantRows: [0.5, 0.75]])
        }
    }

    @Test func `pooled rows have at most the squares of their factor times the rows of a sample`() async throws {
        let (rows, squares): ([Float], [Float]) = ([1, 2, 3, 4, 5, 6], [91.5, 0.5])
        try await Bench.run { bench in
            let (slices, files) = try written(bench, [rows, squares], columns: 1)
            // 4.5 rows of a sample times 21 are 94.5, and the gradients' factor is a sum over rows.
            for (content, trace) in [(ImportJointRowsOperation.Content.inputs, 21.0), (.gradients, 94)] {
                let result = try await bench.result(
                    importing(content, slices, files, trace: trace, pooledRows: 4.5))
                #expect(result.measurements == [.positionSquares: [91.5, 0.5]])
            }
            let (fault, message) = try await bench.fault(
                importing(.inputs, slices, files, trace: 20, pooledRows: 4.5))
            #expect(fault == .badInput)
            #expect(
                message.hasSuffix(
                    "sum to 92.0; expected at most 90.0, 4.5 rows of a sample times the trace of \"l.A\". Make factors and "
                        + "joint rows again from the same samples."), "\(message)")
        }
    }

    @Test func `the rows of a run's files stand one after the other, weighed by their samples`() async throws {
        let values: [[Float]] = [[2, 4, 6, 8], [80, 40], [10, 20, 30, 40, 50, 60, 70, 80], [8000, 14_000]]
        func unit(
            _ content: ImportJointRowsOperation.Content, _ slices: [RowSlice], _ files: [Int: LeasedFile],
            trace: Double
        ) -> BenchUnit {
            let parts = [0.25, 0.75].enumerated().map { index, share in
                ImportJointRowsOperation.Part(
                    rows: slices[2 * index].slice, rank: index + 1, squares: slices[2 * index + 1].slice, share: share)
            }
            return BenchUnit(
                ImportJointRowsOperation(content: content, parts: parts, positions: 2, columns: 2), numbers: [[trace]],
                files: files, about: "l")
        }
        // 1/4 (80 + 40) + 3/4 (8000 + 14 000)
        let trace = 16_530.0
        try await Bench.run { bench in
            let (slices, files) = try written(bench, values, columns: 1)
            let result = try await bench.result(unit(.gradients, slices, files, trace: trace))
            let root = Float(Double(0.75).squareRoot())
            #expect(try bench.elements(result.blobs[0]) == [1, 2, 3, 4] + values[2].map { $0 * root })
            #expect(result.measurements == [.positionSquares: [6020, 10_510]])
            let (fault, message) = try await bench.fault(unit(.inputs, slices, files, trace: trace))
            #expect(fault == .badInput)
            let path = try #require(files[1]).path
            #expect(
                message
                    == "\(path) and 1 more: the elements of \"l.input_squares\" sum to 16530.0, weighed by samples; expected "
                    + "33060.0, 2 positions times the trace of \"l.A\". Make factors and joint rows again from the same "
                    + "samples.")
        }
        // The rows of the second file alone are too large for it.
        try await Bench.run { bench in
            var large = values
            large[2] = large[2].map { 2 * $0 }
            let (slices, files) = try written(bench, large, columns: 1)
            let (fault, message) = try await bench.fault(unit(.gradients, slices, files, trace: trace))
            #expect(fault == .badInput)
            let path = try #require(files[2]).path
            #expect(message.hasPrefix("\(path): the squares of \"l.gradient_rows\" sum to 81600.0"), "\(message)")
        }
        try await Bench.run { bench in
            let (slices, files) = try written(bench, [[0.5, 0.75], [1], [0.25], [1]], columns: 1)
            let parts = [0, 2].map { first in
                ImportJointRowsOperation.Part(
                    rows: slices[first].slice, rank: first == 0 ? 2 : 1, squares: slices[first + 1].slice,
                    share: first == 0 ? 0.25 : 0.75)
            }
            let unit = BenchUnit(
                ImportJointRowsOperation(content: .constant, parts: parts, positions: 1, columns: 1), files: files,
                about: "joint rows")
            let root = Double(0.75).squareRoot()
            #expect(try await bench.result(unit).measurements == [.constantRows: [0.25, 0.375, 0.25 * root]])
        }
    }

    /// The complement of such rows would have negative eigenvalues.
    @Test(
        arguments: [
            (
                .inputs, [1, 2, 3, 4, 5, 6], [91.5, 0.5], 45.9, 1,
                "the elements of \"l.input_squares\" sum to 92.0; expected 91.8, 2 positions times the trace of \"l.A\". "
            ),
            (
                .gradients, [1, 2, 3, 4, 5, 6], [91.5, 0.5], 46, 1,
                "the elements of \"l.gradient_squares\" sum to 92.0; expected 46.0, the trace of the gradients' factor of "
                    + "\"l\". "
            ),
            (
                .gradients, [1, 2, 3, 4, 5, 6], [90, 0.5], 90.5, 0,
                "the squares of \"l.gradient_rows\" sum to 91.0; expected at most 90.5, the sum of "
                    + "\"l.gradient_squares\". "
            ),
            (
                .constant, [0.5, 0.5], [2], nil, 1,
                "the elements of \"input_squares\" sum to 2.0; expected 1.0, the square of the constant. "
            ),
            (
                .constant, [1, 0.5], [1], nil, 0,
                "the squares of \"input_rows\" sum to 1.25; expected at most 1.0, the sum of \"input_squares\". "
            ),
        ] as [(ImportJointRowsOperation.Content, [Float], [Float], Double?, Int, String)])
    func `rows that contradict their factor are an error of the input`(
        content: ImportJointRowsOperation.Content, rows: [Float], squares: [Float], trace: Double?, file: Int,
        problem: String
    ) async throws {
        try await Bench.run { bench in
            let (slices, files) = try written(bench, [rows, squares], columns: 1)
            let (fault, message) = try await bench.fault(importing(content, slices, files, trace: trace))
            #expect(fault == .badInput)
            let path = try #require(files[file]).path
            #expect(message == "\(path): \(problem)Make factors and joint rows again from the same samples.")
        }
    }

    @Test func `NaN and negative squares are told with the tensor's name`() async throws {
        func message(
            _ content: ImportJointRowsOperation.Content, _ rows: [Float], _ squares: [Float]
        ) async throws -> String {
            var text = ""
            try await Bench.run { bench in
                let (slices, files) = try written(bench, [rows, squares], columns: 1)
                let (fault, found) = try await bench.fault(
                    importing(content, slices, files, trace: content == .constant ? nil : 92))
                #expect(fault == .badInput)
                text = String(found.drop { $0 != ":" }.dropFirst(2))
            }
            return text
        }
        func nonFinite(_ name: String) -> String {
            "tensor \"\(name)\" holds NaN or infinity; expected finite values. Make the factors again."
        }
        #expect(try await message(.constant, [.nan, 1], [1]) == nonFinite("input_rows"))
        #expect(try await message(.constant, [0, 1], [.infinity]) == nonFinite("input_squares"))
        #expect(try await message(.gradients, [1, 2, 3, 4, 5, 6], [.nan, 1]) == nonFinite("l.gradient_squares"))
        #expect(try await message(.gradients, [1, 2, 3, .nan, 5, 6], [91.5, 0.5]) == nonFinite("l.gradient_rows"))
        #expect(
            try await message(.gradients, [1, 2, 3, 4, 5, 6], [93, -1])
                == "tensor \"l.gradient_squares\" has a negative element; expected means of squares. Make the factors "
                + "again.")
    }

    @Test func `rows that are not finite, or too large, are an error of the input`() async throws {
        var values = Self.values
        values[1][7] = .nan
        try await Bench.run { bench in
            let (slices, files) = try written(bench, values, columns: Self.columns)
            let rows = captured(slices, appendsOnes: true)
            let path = try #require(files[1]).path
            let vectors = try bench.put([Float](repeating: 1, count: 5))
            for unit in [
                BenchUnit(RowSquaresOperation(rows: rows), files: files, about: "l.input"),
                BenchUnit(
                    RowGramOperation(rows: rows, weightListCount: 0), numbers: [[1, 1]], files: files, about: "l.input"),
                BenchUnit(
                    RowCombinationOperation(rows: rows, rank: 1), reading: [vectors], files: files, about: "l.input"),
            ] {
                let (fault, message) = try await bench.fault(unit)
                #expect(fault == .badInput)
                #expect(
                    message
                        == "\(path): tensor \"l.input\" holds NaN or infinity, first in row 2; expected finite values. "
                        + "Capture the task again.")
            }
        }
        try await Bench.run { bench in
            let large = Self.values.map { $0.map { _ in Float(1e25) } }
            let (slices, files) = try written(bench, large, columns: Self.columns)
            let operation = RowGramOperation(rows: captured(slices, appendsOnes: false), weightListCount: 0)
            let (fault, message) = try await bench.fault(
                BenchUnit(operation, numbers: [[1, 1]], files: files, about: "l.input"))
            #expect(fault == .badInput)
            #expect(
                message
                    == "the unit: the rows of \"l.input\" have products beyond fp32; expected magnitudes whose products stay "
                    + "below 3.4e38. Scale the captures of all tasks down.")
        }
    }

    /// Chunks are whole products, so their number changes no bit.
    @Test func `the columns of a chunk change no bit`() async throws {
        let columns = 3 * JointRows.productColumns
        var random = SplitMix64(seed: 10)
        let values = random.values(2 * columns).map { Float($0) }
        try await Bench.run { bench in
            let (slices, files) = try written(bench, [values], columns: columns)
            let rows = JointRows(
                columns: columns, positions: 1, appendsOnes: false, source: .captured(.f32, slices, divisor: 2))
            var found: Set<[BlobReference]> = []
            for chunk in [JointRows.productColumns, 2 * JointRows.productColumns, columns] {
                let operation = RowGramOperation(rows: rows, weightListCount: 0, chunkColumns: chunk)
                found.insert(
                    try await bench.result(BenchUnit(operation, numbers: [[1, 1]], files: files, about: "l")).blobs)
            }
            #expect(found.count == 1)
        }
    }
}
