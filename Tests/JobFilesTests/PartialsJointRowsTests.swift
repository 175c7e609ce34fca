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

    /// Writes a file of zeros; a shape of `nil` leaves a tensor out.
    private func write(
        _ shapes: [String: [Int]?] = [:], _ metadata: [String: String?] = [:], rank: Int = 0,
        value: @escaping (String) -> Float = { _ in 0 }
    ) throws -> SafetensorsFile {
        var changed: [String: [Int]?] = Self.shapes
        changed.merge(shapes) { $1 }
        let tensors = changed.compactMap { name, shape in
            shape.map { TestTensor(name, $0) { _ in value(name) } }
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

    @Test func `mean squares sum to the traces of the sums, divided as factors are`() throws {
        func problem(_ squares: Float) throws -> String? {
            // tr(F) = 4 · 6, of 4 samples of 2 probes.
            let file = try write(value: { $0 == "n.F" ? 6 : $0 == "n.gradient_squares" ? squares : 0 })
            return errorMessage { () throws(JobFileError) in _ = try PartialsMetadata(checking: file) }
                .map { $0.replacing("\(directory.path)/", with: "") }
        }
        #expect(try problem(3) == nil)
        #expect(
            try problem(2.5)
                == "0.safetensors: the elements of \"n.gradient_squares\" sum to 2.5; expected 3.0, the trace of \"n.F\" divided "
                + "by 8.0. \(Self.remedy)")
        #expect(
            try problem(.nan)
                == "0.safetensors: tensor \"n.gradient_squares\" has a negative or non-finite element; expected means of "
                + "squares. \(Self.remedy)")
    }
}
