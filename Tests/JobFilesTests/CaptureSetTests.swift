import Identifiers
import JobFiles
import LinearAlgebra
import Safetensors
import SystemPackage
import TestSupport
import Testing

/// Captures of one and of several files.
struct CaptureSetTests {
    private let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    private func rows(_ set: CaptureSet, _ tensor: CapturedTensor, _ range: Range<Int>) throws -> [Float] {
        var matrix = try Matrix<Float>(rows: range.count, columns: tensor.columnCount)
        try set.readRows(tensor, range, into: &matrix)
        return matrix.elements
    }

    @Test func `a file of another program needs only samples`() throws {
        let path = try directory.write(
            "c.safetensors",
            ["samples": "2", "kind": "capture", "mc_samples": "3"],
            [
                TestTensor("b.fc.input", [8, 2]), TestTensor("b.fc.output_grad", [24, 5]),
                TestTensor("b.ln.weight.grad", [6, 4]),
            ]
        )
        let set = try CaptureSet(opening: [path])
        #expect(set.probeCount == 3)
        #expect(set.task == nil)
        #expect(set.layers.map(\.name) == ["b.fc"])
        let layer = try #require(set.layers.first)
        #expect(layer.sampleCount == 2)
        #expect(layer.positionCount == 4)
        #expect(layer.input.columnCount == 2)
        #expect(layer.outputGradient.rowCount == 24)
        #expect(set.parameters.map(\.name) == ["b.ln.weight"])
        #expect(set.parameters.first?.gradient.rowCount == 6)
        #expect(set.parameters.first?.sampleCount == 2)
    }

    private func write(_ name: String, layout: String, layer: String = "l") throws -> FilePath {
        try directory.write(
            name, ["samples": "2", "layout": layout],
            [TestTensor("\(layer).input", [4, 3]), TestTensor("\(layer).output_grad", [4, 5])])
    }

    @Test func `files declare layouts together, each layer with the first file that does`() throws {
        let both = #"{"l":"in_out","m":"out_in"}"#
        let paths = [try write("1.safetensors", layout: both), try write("2.safetensors", layout: both, layer: "m")]
        let set = try CaptureSet(opening: paths)
        #expect(set.layouts.mapValues(\.layout) == ["l": .inOut, "m": .outIn])
        #expect(set.layouts["m"]?.file == paths[0])
    }

    @Test func `layouts that contradict each other, or of unknown layers, are refused`() throws {
        let first = try write("1.safetensors", layout: #"{"l":"in_out"}"#)
        let other = try write("2.safetensors", layout: #"{"l":"out_in"}"#)
        let stranger = try write("3.safetensors", layout: #"{"x":"in_out"}"#)
        let contradiction = errorMessage { () throws(JobFileError) in _ = try CaptureSet(opening: [first, other]) }
        #expect(contradiction?.contains("the layout of layer \"l\"") == true, "\(contradiction ?? "")")
        let unknown = errorMessage { () throws(JobFileError) in _ = try CaptureSet(opening: [stranger]) }
        #expect(unknown?.contains("metadata \"layout\" is \"x\"") == true, "\(unknown ?? "")")
    }

    @Test func `files that split the samples are one capture`() throws {
        let paths = try [2, 1, 3].enumerated().map { index, samples in
            try directory.write(
                "c\(index).safetensors",
                CaptureMetadata(sampleCount: samples, task: "t").strings,
                [
                    TestTensor("l.input", [samples * 2, 3]) { Float(1000 * index + $0) },
                    TestTensor("l.output_grad", [samples * 2, 1]) { Float(1000 * index + $0) },
                    TestTensor("p.grad", [samples, 1]) { Float(1000 * index + $0) },
                ]
            )
        }
        let set = try CaptureSet(opening: paths)
        let layer = try #require(set.layers.first)
        #expect(layer.sampleCount == 6)
        #expect(layer.positionCount == 2)
        #expect(layer.input.rowCount == 12)
        #expect(set.task == "t")
        #expect(try rows(set, layer.input, 3..<7) == [9, 10, 11, 1000, 1001, 1002, 1003, 1004, 1005, 2000, 2001, 2002])
        #expect(
            try rows(set, layer.outputGradient, 0..<12) == [0, 1, 2, 3, 1000, 1001, 2000, 2001, 2002, 2003, 2004, 2005]
        )
        #expect(try rows(set, try #require(set.parameters.first).gradient, 2..<4) == [1000, 2000])
        let place = try #require(layer.input.location(ofRow: 5))
        #expect(place.file == paths[1])
        #expect(place.row == 1)
        #expect(layer.input.location(ofRow: 12) == nil)
    }

    @Test func `a layer has its own rows and samples, and files that split them add up`() throws {
        let paths = try [(2, 5), (4, 3)].enumerated().map { index, counts in
            try directory.write(
                "c\(index).safetensors",
                ["samples": "10", "layer_samples": #"{"l":\#(counts.0)}"#],
                [
                    TestTensor("l.input", [counts.1, 3]), TestTensor("l.output_grad", [counts.1, 1]),
                    TestTensor("l.row_samples", [counts.1], zeros: index == 0 ? .int32 : .int64),
                    TestTensor("m.input", [10, 3]), TestTensor("m.output_grad", [10, 1]),
                ]
            )
        }
        let set = try CaptureSet(opening: paths)
        #expect(set.layers.map(\.name) == ["l", "m"])
        #expect(set.layers.map(\.sampleCount) == [6, 20])
        #expect(set.layers.map(\.positionCount) == [nil, 1])
        #expect(set.layers.map(\.input.rowCount) == [8, 20])
        #expect(set.layers.map(\.fileSampleCount) == [nil, 20])
        #expect(set.layers[0].rowSamples.map(\.dataType) == [.int32, .int64])
        #expect(set.layers[0].rowSamples.map(\.rowCount) == [5, 3])
        #expect(set.sampleCount == 20)
    }

    @Test func `positions are constant only if every file has them`() throws {
        let pairs = [4, 4, 0].map { [TestTensor("l.input", [$0, 2]), TestTensor("l.output_grad", [$0, 3])] }
        func positions(_ samples: [Int]) throws -> Int? {
            let paths = try samples.enumerated().map {
                try directory.write("\($0).safetensors", ["samples": "\($1)"], pairs[$0])
            }
            return try #require(try CaptureSet(opening: paths).layers.first).positionCount
        }
        #expect(try positions([2, 2]) == 2)
        #expect(try positions([2, 4]) == nil)
        #expect(try positions([3]) == nil)
        #expect(try positions([2, 2, 2]) == nil)
    }

    @Test func `layers and parameters without rows are stated by empty tensors or by the metadata`() throws {
        let path = try directory.write(
            "c.safetensors",
            ["samples": "4", "layer_samples": #"{"gone":0,"p":0}"#],
            [
                TestTensor("l.input", [4, 3]), TestTensor("l.output_grad", [4, 1]), TestTensor("e.input", [0, 5]),
                TestTensor("e.output_grad", [0, 2]), TestTensor("p.grad", [0, 6]),
            ]
        )
        let set = try CaptureSet(opening: [path])
        #expect(set.layers.map(\.name) == ["l"])
        #expect(set.parameters.isEmpty)
        #expect(set.emptyBlocks.map(\.name) == ["e", "gone", "p"])
        #expect(set.emptyBlocks.map(\.inputColumnCount) == [5, nil, nil])
        #expect(set.emptyBlocks.map(\.gradientColumnCount) == [2, nil, 6])
    }

    @Test func `rows of one file and none of another are one layer`() throws {
        let paths = try [3, 0, 1].enumerated().map { index, rows in
            try directory.write(
                "\(index).safetensors", ["samples": "2"],
                [TestTensor("l.input", [rows, 1]), TestTensor("l.output_grad", [rows, 1])])
        }
        let set = try CaptureSet(opening: paths)
        let layer = try #require(set.layers.first)
        #expect(layer.sampleCount == 6)
        #expect(layer.input.pieces.map(\.rowCount) == [3, 1])
        #expect(layer.input.pieces.map(\.firstRow) == [0, 3])
        #expect(set.emptyBlocks.isEmpty)
    }

    @Test func `files that split the layers are one capture`() throws {
        let metadata = CaptureMetadata(sampleCount: 2).strings
        let paths = [
            try directory.write(
                "2.safetensors",
                metadata,
                [TestTensor("b.input", [4, 1]), TestTensor("b.output_grad", [4, 1])]
            ),
            try directory.write(
                "1.safetensors",
                metadata,
                [TestTensor("a.input", [2, 1]), TestTensor("a.output_grad", [2, 1])]
            ),
        ]
        let set = try CaptureSet(opening: paths)
        #expect(set.layers.map(\.name) == ["a", "b"])
        #expect(set.layers.map(\.sampleCount) == [2, 2])
        #expect(set.layers.map(\.positionCount) == [1, 2])
    }

    @Test func `input and gradients may lie in different shards`() throws {
        let metadata = CaptureMetadata(sampleCount: 2).strings
        _ = try directory.write("c-1.safetensors", metadata, [TestTensor("a.input", [2, 1])])
        _ = try directory.write("c-2.safetensors", metadata, [TestTensor("a.output_grad", [2, 1])])
        let index = #"{"weight_map":{"a.input":"c-1.safetensors","a.output_grad":"c-2.safetensors"}}"#
        try directory.write(Array(index.utf8), to: "capture.safetensors.index.json")
        let set = try CaptureSet(opening: [FilePath(directory.path)])
        #expect(set.layers.map(\.sampleCount) == [2])
    }

    @Test func `rows of bf16 and f16 are widened exactly into their place`() throws {
        let path = try directory.write(
            "c.safetensors",
            ["samples": "3"],
            [
                TestTensor("l.input", [3, 2], bfloat16: { Float($0) * 0.5 - 1 }),
                TestTensor("l.output_grad", [3, 1], zeros: .float16),
            ]
        )
        let set = try CaptureSet(opening: [path])
        let input = try #require(set.layers.first).input
        var matrix = try Matrix<Float>(rows: 4, columns: 2, elements: [Float](repeating: 7, count: 8))
        try set.readRows(input, 1..<3, into: &matrix, at: 1)
        #expect(matrix.elements == [7, 7, 0, 0.5, 1, 1.5, 7, 7])
        #expect(try rows(set, try #require(set.layers.first).outputGradient, 0..<3) == [0, 0, 0])
    }

    @Test func `conversion blocks meet without a seam`() throws {
        let count = 600_001  // more than one block of 2-byte elements
        let path = try directory.write(
            "c.safetensors",
            ["samples": "1"],
            [
                TestTensor("l.input", [count, 1], bfloat16: { Float($0 % 256) }),
                TestTensor("l.output_grad", [count, 1], zeros: .bfloat16),
            ]
        )
        let set = try CaptureSet(opening: [path])
        let read = try rows(set, try #require(set.layers.first).input, 1..<count)
        #expect(read.enumerated().allSatisfy { $1 == Float(($0 + 1) % 256) })
    }

    @Test func `a remote worker is told files and bytes`() throws {
        let metadata = ["samples": "2"]
        let tensors = [TestTensor("l.input", [2, 3]), TestTensor("l.output_grad", [2, 1])]
        let paths = [
            try directory.write("0.safetensors", metadata, tensors),
            try directory.write("1.safetensors", metadata, tensors),
        ]
        let set = try CaptureSet(opening: paths)
        let input = try #require(set.layers.first).input
        let start = set.files[0].header.dataOffset
        let parts = try input.fileRows(of: 1..<4)
        #expect(parts.map(\.fileIndex) == [0, 1])
        #expect(parts.map(\.rows) == [1..<2, 0..<2])
        #expect(parts.map(\.byteRange) == [start + 12..<start + 24, start..<start + 24])
        #expect(try input.fileRows(of: 2..<2) == [])
        #expect(
            errorMessage { () throws(JobFileError) in _ = try input.fileRows(of: 3..<5) }
                == "tensor \"l.input\" has 4 rows; rows 3 to 5 are not all in it."
        )
    }

    @Test func `a matrix of another shape is refused`() throws {
        let path = try directory.write(
            "c.safetensors",
            ["samples": "2"],
            [TestTensor("l.input", [2, 3]), TestTensor("l.output_grad", [2, 1])]
        )
        let set = try CaptureSet(opening: [path])
        let input = try #require(set.layers.first).input
        var matrix = try Matrix<Float>(rows: 1, columns: 3)
        let error = #expect(throws: JobFileError.self) { try set.readRows(input, 0..<2, into: &matrix) }
        let mismatch = LinearAlgebraError.lengthMismatch(
            buffer: "the matrix for tensor \"l.input\"",
            expected: 6,
            found: 3
        )
        #expect(error == .linearAlgebra(file: path, mismatch))
    }
}
