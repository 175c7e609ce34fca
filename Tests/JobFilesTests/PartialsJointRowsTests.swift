import Identifiers
import JobFiles
import LinearAlgebra
import Safetensors
import SystemPackage
import TestSupport
import Testing

/// Files of partial sums with joint rows, one by one and together.
struct PartialsJointRowsTests {
    private let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    private static let shapes = [
        "l.A": [6], "l.B": [3], "n.F": [10], "l.input_rows": [5, 2, 3], "l.input_squares": [2],
        "l.gradient_rows": [7, 2, 2], "l.gradient_squares": [2], "n.gradient_rows": [7, 4], "n.gradient_squares": [1],
        "input_rows": [5], "input_squares": [1],
    ]

    private func strings(_ rank: Int) -> [String: String] {
        [
            "format": "kfacd.partials/1", "task": "t", "run": "r", "rank": "\(rank)", "sequence": "0", "samples": "4",
            "rows": "8", "probes": "2", "normalization": "expand", "bias": #"{"l":true}"#,
            "joint_rows": #"{"ranks":{"inputs":5,"gradients":7},"kept":{"inputs":0.5,"gradients":1}}"#,
        ]
    }

    /// Zeros, besides 8 ones of the bias, of 4 samples of 2 positions, and the square of the constant.
    private static func least(_ name: String, _ index: Int) -> Float {
        switch name {
        case "l.A": index == 5 ? 8 : 0
        case "l.input_squares", "input_squares": 1
        default: 0
        }
    }

    /// Writes a file; a shape of `nil` leaves a tensor out.
    private func write(
        _ shapes: [String: [Int]?] = [:], _ metadata: [String: String?] = [:], rank: Int = 0,
        value: @escaping (String, Int) -> Float = Self.least
    ) throws -> SafetensorsFile {
        var changed: [String: [Int]?] = Self.shapes
        changed.merge(shapes) { $1 }
        let tensors = changed.compactMap { name, shape in
            shape.map { TestTensor(name, $0) { value(name, $0) } }
        }.sorted { $0.name < $1.name }
        let strings = strings(rank).merging(metadata.compactMapValues(\.self)) { $1 }
            .filter { metadata[$0.key] != .some(nil) }
        return try SafetensorsFile(opening: directory.write("\(rank).safetensors", strings, tensors))
    }

    private func problems(_ files: SafetensorsFile...) -> String? {
        errorMessage { () throws(JobFileError) in _ = try PartialsSet(of: files) }
            .map { $0.replacing("\(directory.path)/", with: "") }
    }

    private static let remedy = "Make the sums and the joint rows again from the same samples."

    @Test func `every file's joint rows are those of its own samples`() throws {
        let second = try write(
            ["l.input_rows": [4, 2, 3], "input_rows": [4]],
            [
                "samples": "3", "rows": "6",
                "joint_rows": #"{"ranks":{"inputs":4,"gradients":7},"kept":{"inputs":1,"gradients":1}}"#,
            ], rank: 1)
        let set = try PartialsSet(of: [second, try write()])
        #expect(set.jointParts.map(\.samples) == [4, 3])
        #expect(set.jointParts.map(\.metadata.ranks.inputs) == [5, 4])
        #expect(set.jointParts.allSatisfy { $0.entries.count == 8 })
        #expect(set.jointParts[0].entries[0].file == set.files[0].path)
        #expect(try PartialsMetadata(checking: try write()).jointRows?.kept == .init(inputs: 0.5, gradients: 1))
        let metadata = try PartialsMetadata(checking: try write())
        #expect(try PartialsMetadata(parsing: metadata.strings, file: "x") == metadata)
    }

    @Test(
        arguments: [
            (
                "m.gradient_rows", [7, 2, 2],
                "tensor \"m.gradient_rows\" belongs to \"m\", of which the files hold no factors"
            ),
            (
                "l.gradient_rows", [6, 2, 2],
                "tensor \"l.gradient_rows\" has the shape [6, 2, 2]; expected 7 rows, as \"ranks\" of the metadata "
                    + "\"joint_rows\" states of the gradients"
            ),
            (
                "l.gradient_rows", [7, 3, 2],
                "layer \"l\" has 2 positions in \"l.input_rows\", but 3 in \"l.gradient_rows\"; expected one number"
            ),
            (
                "l.gradient_rows", [7, 2, 3],
                "tensor \"l.gradient_rows\" has the shape [7, 2, 3]; expected [rows, positions, 2]"
            ),
            (
                "n.gradient_rows", nil,
                "lacks the joint rows' tensor \"n.gradient_rows\"; expected the shape [rows, 4]"
            ),
            ("input_rows", nil, "lacks the joint rows' tensor \"input_rows\"; expected the shape [5]"),
            ("l.input_squares", [3], "tensor \"l.input_squares\" has the shape [3]; expected [2]"),
        ] as [(String, [Int]?, String)])
    func `joint rows of other layers, ranks, positions and shapes are refused`(
        name: String, shape: [Int]?, words: String
    ) throws {
        #expect(problems(try write([name: shape])) == "0.safetensors: \(words). \(Self.remedy)")
    }

    @Test func `joint rows are whole samples, the same of all layers, before any reduction`() throws {
        #expect(
            problems(try write([:], ["rows": "9"]))
                == "0.safetensors: layer \"l\" has 9 rows of 4 samples, but joint rows of 2 positions; expected equally many rows "
                + "of each sample. \(Self.remedy)")
        #expect(
            problems(try write([:], ["samples": #"{"l":4,"n":3}"#]))
                == "0.safetensors: \"n\" has 3 samples, but \"l\" 4; joint rows are of the same samples in all layers and "
                + "parameters. \(Self.remedy)")
        #expect(
            problems(try write([:], ["normalization": "reduce"]))?.contains("has joint rows under the normalization")
                == true)
        #expect(
            problems(try write([:], ["rows": "0"]))?
                .contains("tensor \"l.gradient_rows\" belongs to \"l\", of which the files hold no factors") == true)
        let unstated = problems(try write([:], ["joint_rows": nil]))
        #expect(unstated?.contains("_rows\"") == true, "\(unstated ?? "none")")
    }

    @Test func `the files of a run all have joint rows, of equal positions`() throws {
        let names = Self.shapes.keys.filter { $0.contains("_") }
        let without = try write(
            Dictionary(uniqueKeysWithValues: names.map { ($0, nil) }), ["joint_rows": nil], rank: 1)
        #expect(
            problems(try write(), without)
                == "1.safetensors: holds no joint rows, but 0.safetensors does; expected them in all files of a run, or in none. "
                + "Repeat the run with joint rows in every process.")
        let longer = try write(
            [
                "l.input_rows": [5, 4, 3], "l.gradient_rows": [7, 4, 2], "l.input_squares": [4],
                "l.gradient_squares": [4],
            ], ["rows": "16"], rank: 1)
        #expect(
            problems(try write(), longer)
                == "1.safetensors: the number of positions in \"l.gradient_rows\" is 4; expected 2 as in 0.safetensors. Name the "
                + "files of one run only.")
        let fewer = try write(
            ["l.input_rows": nil, "l.gradient_rows": nil, "l.input_squares": nil, "l.gradient_squares": nil],
            ["rows": "0"], rank: 1)
        #expect(
            problems(try write(), fewer)?
                .hasPrefix("1.safetensors: lacks \"l.gradient_rows\", \"l.input_rows\"; expected the sums of 0.")
                == true)
    }

    // MARK: - Values

    /// What is wrong with one file, with some numbers in the place of others.
    private func problem(
        _ metadata: [String: String?] = [:], _ value: @escaping (String, Int) -> Float?
    ) throws -> String? {
        let file = try write(metadata) { value($0, $1) ?? Self.least($0, $1) }
        return errorMessage { () throws(JobFileError) in _ = try PartialsMetadata(checking: file) }
            .map { $0.replacing("\(directory.path)/", with: "") }
    }

    private func write(
        _ metadata: [String: String?], value: @escaping (String, Int) -> Float
    ) throws -> SafetensorsFile { try write([:], metadata, value: value) }

    @Test func `mean squares sum to the traces of the sums, divided as factors are`() throws {
        func found(_ squares: Float) throws -> String? {
            // tr(F) = 4 · 6, of 4 samples of 2 probes.
            try problem { name, _ in name == "n.F" ? 6 : name == "n.gradient_squares" ? squares : nil }
        }
        #expect(try found(3) == nil)
        #expect(
            try found(2.5)
                == "0.safetensors: the elements of \"n.gradient_squares\" sum to 2.5; expected 3.0, the trace of \"n.F\" divided "
                + "by 8.0. \(Self.remedy)")
        #expect(
            try found(.nan)
                == "0.safetensors: tensor \"n.gradient_squares\" has a negative or non-finite element; expected means of "
                + "squares. \(Self.remedy)")
        #expect(
            try problem { name, _ in name == "input_squares" ? 4 : nil }
                == "0.safetensors: the elements of \"input_squares\" sum to 4.0; expected 1.0, the square of the constant. "
                + Self.remedy)
    }

    @Test(arguments: [Float.nan, .infinity, -.infinity])
    func `rows that are not finite are refused, of every side`(value: Float) throws {
        for (name, row) in [("l.input_rows", 4), ("l.gradient_rows", 6), ("n.gradient_rows", 2), ("input_rows", 3)] {
            let width = try #require(Self.shapes[name]).dropFirst().reduce(1, *)
            #expect(
                try problem { $0 == name && $1 == row * width ? value : nil }
                    == "0.safetensors: tensor \"\(name)\" holds NaN or infinity, first in row \(row); expected finite "
                    + "values. \(Self.remedy)")
        }
    }

    @Test func `rows are a part of the samples`() throws {
        // The mean squares sum to 2, and to 1.
        #expect(try problem { $0 == "l.input_rows" && $1 < 2 ? 1 : nil } == nil)
        #expect(
            try problem { $0 == "l.input_rows" && $1 < 3 ? 1 : nil }
                == "0.safetensors: the squares of \"l.input_rows\" sum to 3.0; expected at most 2.0, the sum of "
                + "\"l.input_squares\". \(Self.remedy)")
        #expect(
            try problem { $0 == "input_rows" && $1 < 2 ? 1 : nil }
                == "0.safetensors: the squares of \"input_rows\" sum to 2.0; expected at most 1.0, the sum of "
                + "\"input_squares\". \(Self.remedy)")
        #expect(
            try problem { $0 == "n.gradient_rows" && $1 == 0 ? 1 : nil }
                == "0.safetensors: the squares of \"n.gradient_rows\" sum to 1.0; expected at most 0.0, the sum of "
                + "\"n.gradient_squares\". \(Self.remedy)")
    }

    @Test func `sums are finite beside their diagonals too`() throws {
        #expect(
            try problem { $0 == "l.A" && $1 == 3 ? .nan : nil }
                == "0.safetensors: tensor \"l.A\": row 2 holds NaN or infinity, first in column 0; expected finite values. "
                + "Compute the factor again.")
    }

    // MARK: - Numbers of rows

    private static func miscount(_ rows: String) -> String {
        "0.safetensors: layer \"l\" has \(rows) rows in the metadata, but the ones of its bias sum to 8.0, the last element "
            + "of \"l.A\"; expected the same number. Write it again with the right counts."
    }

    @Test(arguments: ["tak", "expand"])
    func `the ones of a bias count the rows, also where positions are pooled`(normalization: String) throws {
        let isJoint = normalization == "expand"
        let joint =
            #"{"ranks":{"inputs":5,"gradients":7},"kept":{"inputs":0.5,"gradients":1},"#
            + #""buckets":{"codebook":"c","layers":["l"]}}"#
        var shapes: [String: [Int]?] = [:]
        if !isJoint { for name in Self.shapes.keys where name.contains("_") { shapes[name] = .some(nil) } }
        for rows in ["7", "9"] {
            let file = try write(
                shapes, ["rows": rows, "normalization": normalization, "joint_rows": isJoint ? joint : nil])
            #expect(
                errorMessage { () throws(JobFileError) in _ = try PartialsMetadata(checking: file) }?
                    .replacing("\(directory.path)/", with: "") == Self.miscount(rows))
            let set = try PartialsSet(of: [file])
            #expect(
                errorMessage { () throws(JobFileError) in try set.requireCountedRows() }?
                    .replacing("\(directory.path)/", with: "") == Self.miscount(rows))
        }
        let right = try write(
            shapes, ["rows": "8", "normalization": normalization, "joint_rows": isJoint ? joint : nil])
        try PartialsSet(of: [right]).requireCountedRows()
        #expect(try PartialsMetadata(checking: right).rowCounts?["l"] == 8)
    }
}
