import Identifiers
import JobFiles
import Safetensors
import SystemPackage
import TestSupport
import Testing

/// One wrong capture for each test; the whole sentence is compared.
struct CaptureErrorTests {
    private let directory: TemporaryDirectory
    private let pair = [TestTensor("l.input", [4, 2]), TestTensor("l.output_grad", [4, 3])]

    init() throws { directory = try TemporaryDirectory() }

    private func message(_ tensors: [TestTensor]) throws -> String? {
        try message(["samples": "2"], tensors)
    }

    private func message(_ metadata: [String: String], _ tensors: [TestTensor]) throws -> String? {
        let path = try directory.write("c.safetensors", metadata, tensors)
        return try message(of: [path])
    }

    private func message(of paths: [FilePath]) throws -> String? {
        errorMessage { () throws(JobFileError) in _ = try CaptureSet(opening: paths) }?
            .replacing("\(directory.path)/", with: "")
    }

    @Test func `no file is refused`() throws {
        #expect(
            try message(of: []) == "captures: no file is named; expected at least one. Correct the pattern or the path."
        )
    }

    @Test func `another format is refused`() throws {
        #expect(
            try message(["samples": "2", "format": "kfacd.capture/2"], pair)
                == "c.safetensors: is of the format \"kfacd.capture/2\", which a later version of kfacd wrote; this one "
                + "reads \"kfacd.capture/1\". Use the version that wrote it, or a later one."
        )
    }

    @Test func `samples must be there`() throws {
        #expect(
            try message([:], pair)
                == "c.safetensors: metadata \"samples\" is missing; expected the number of samples. "
                + "Write the file again with it."
        )
    }

    @Test func `zero samples are an error of their own`() throws {
        #expect(
            try message(["samples": "0"], pair)
                == "c.safetensors: was captured from 0 samples; expected at least 1. Capture it again."
        )
    }

    @Test(arguments: ["-2", "2.0", "many", "+2", "99999999999999999999"])
    func `samples must be a whole number`(text: String) throws {
        #expect(
            try message(["samples": text], pair)
                == "c.safetensors: metadata \"samples\" is \"\(text)\"; expected a whole number of at least 1. "
                + "Write the file again with it."
        )
    }

    @Test(arguments: ["probes", "mc_samples"])
    func `probes must be a whole number`(key: String) throws {
        #expect(
            try message(["samples": "2", key: "0"], pair)
                == "c.safetensors: metadata \"\(key)\" is \"0\"; expected a whole number of at least 1. "
                + "Write the file again with it."
        )
    }

    @Test func `the base's digest must be one`() throws {
        #expect(
            try message(["samples": "2", "sha256_base": "abc"], pair)
                == "c.safetensors: metadata \"sha256_base\" is \"abc\"; expected a SHA-256 of 64 hexadecimal digits. "
                + "Write the file again with it."
        )
    }

    @Test func `a tensor of another kind is refused`() throws {
        #expect(
            try message(pair + [TestTensor("l.A", [2, 2])])
                == "c.safetensors: tensor \"l.A\" does not belong in a file of kind capture; expected \"<layer>.input\", "
                + "\"<layer>.output_grad\", \"<layer>.row_samples\" and \"<parameter>.grad\". Rename it, or leave it out."
        )
    }

    @Test func `integers are refused, except indices of an embedding, one for each row`() throws {
        #expect(
            try message([TestTensor("l.input", [4, 2], zeros: .int32), pair[1]])
                == """
                c.safetensors: tensor "l.input" has the shape [4, 2]; expected [rows] of integers, one index for each \
                row of an embedding, or [rows, d_in] of F32, F16 or BF16 for the rows of any other layer. Write the file again.
                """
        )
        #expect(
            try message([TestTensor("l.input", [4], zeros: .uint8), pair[1]])
                == """
                c.safetensors: tensor "l.input" holds U8; expected F32, F16 or BF16, or I32 or I64 for the indices of an \
                embedding. Write the file again.
                """
        )
        #expect(
            try message([pair[0], TestTensor("l.output_grad", [8, 3], zeros: .int32)])
                == """
                c.safetensors: tensor "l.output_grad" holds I32; expected F32, F16 or BF16. Write the file again.
                """
        )
    }

    @Test(arguments: [[4], [4, 0], [2, 2, 2]])
    func `a tensor that is no matrix of rows is refused`(shape: [Int]) throws {
        #expect(
            try message([TestTensor("p.grad", shape)])
                == "c.safetensors: tensor \"p.grad\" has the shape \(shape); expected [rows, columns] with at least one "
                + "column and fewer than 2^40 of each. Write the file again."
        )
    }

    @Test func `input without gradients is refused`() throws {
        #expect(
            try message([pair[0]])
                == "c.safetensors: layer \"l\" has \"l.input\" but no \"l.output_grad\" for the same rows; expected both. "
                + "Capture it again, or name the file that holds the other."
        )
    }

    @Test func `gradients without input are refused`() throws {
        #expect(
            try message([pair[1]])
                == "c.safetensors: layer \"l\" has \"l.output_grad\" but no \"l.input\" for the same rows; expected both. "
                + "Capture it again, or name the file that holds the other."
        )
    }

    @Test func `rows of no samples are refused`() throws {
        #expect(
            try message(["samples": "2", "layer_samples": #"{"l":0}"#], pair)
                == "c.safetensors: \"l\" has 4 rows of 0 samples; expected at least 1 sample. Correct \"layer_samples\" in "
                + "the file's metadata."
        )
        #expect(
            try message(["samples": "2", "layer_samples": #"{"p":0}"#], [TestTensor("p.grad", [2, 1])])
                == "c.safetensors: \"p\" has 2 rows of 0 samples; expected at least 1 sample. Correct \"layer_samples\" in "
                + "the file's metadata."
        )
    }

    @Test func `samples of a layer that no file holds are refused`() throws {
        #expect(
            try message(["samples": "2", "layer_samples": #"{"expert":3}"#], pair)
                == "c.safetensors: metadata \"layer_samples\" counts 3 samples of \"expert\", but no file holds its "
                + "tensors; expected them, or 0 for a layer without rows. Name the file that holds them, or write 0."
        )
    }

    @Test(arguments: ["3", "[1]", #"{"l":-1}"#, #"{"l":1.5}"#, #"{"l":"2"}"#])
    func `samples of layers must be whole numbers`(text: String) throws {
        #expect(
            try message(["samples": "2", "layer_samples": text], pair)
                == "c.safetensors: metadata \"layer_samples\" is \"\(text)\"; expected an object of whole numbers by "
                + "layer. Write the file again with it."
        )
    }

    @Test func `the sample of each row must be one integer for each row`() throws {
        #expect(
            try message(pair + [TestTensor("l.row_samples", [4])])
                == "c.safetensors: tensor \"l.row_samples\" holds F32; expected I32 or I64. Write the file again."
        )
        #expect(
            try message(pair + [TestTensor("l.row_samples", [4, 1], zeros: .int32)])
                == "c.safetensors: tensor \"l.row_samples\" has the shape [4, 1]; expected [rows], the sample of "
                + "each row. Write the file again."
        )
        #expect(
            try message(pair + [TestTensor("l.row_samples", [3], zeros: .int64)])
                == "c.safetensors: tensor \"l.row_samples\" has the shape [3]; expected [4], the sample of each row of "
                + "\"l.input\". Write the file again."
        )
        #expect(
            try message([TestTensor("l.row_samples", [4], zeros: .int32)])
                == "c.safetensors: layer \"l\" has \"l.row_samples\" but no \"l.input\" for the same rows; expected "
                + "both. Capture it again, or name the file that holds the other."
        )
    }

    @Test func `the samples of rows stand in every file or in none`() throws {
        let paths = [
            try directory.write(
                "0.safetensors", ["samples": "2"], pair + [TestTensor("l.row_samples", [4], zeros: .int32)]),
            try directory.write("1.safetensors", ["samples": "2"], pair),
        ]
        #expect(
            try message(of: paths)
                == "1.safetensors: tensor \"l.row_samples\" is missing; expected it beside the others. Write the file "
                + "again with it."
        )
    }

    @Test func `gradient rows must be input rows times probes`() throws {
        #expect(
            try message(
                ["samples": "2", "probes": "2"],
                [TestTensor("b.fc1.input", [4, 2]), TestTensor("b.fc1.output_grad", [6, 3])]
            )
                == "c.safetensors: layer \"b.fc1\" has 4 input rows but 6 output-gradient rows; expected 4 × 2 probes = 8. "
                + "Capture it again, or correct \"probes\" in the file's metadata."
        )
    }

    @Test func `probes whose product overflows are refused`() throws {
        #expect(
            try message(["samples": "2", "probes": "9223372036854775807"], pair)
                == "c.safetensors: layer \"l\" has 4 input rows but 4 output-gradient rows; expected 4 × "
                + "9223372036854775807 probes = more than 9223372036854775807. "
                + "Capture it again, or correct \"probes\" in the file's metadata."
        )
    }

    @Test func `parameter gradients must be samples times probes`() throws {
        #expect(
            try message(["samples": "2", "probes": "3"], [TestTensor("ln.bias.grad", [5, 1])])
                == "c.safetensors: parameter \"ln.bias\" has 5 gradient rows; expected 2 samples × 3 probes = 6. "
                + "Capture it again, or correct the file's metadata."
        )
    }

    @Test func `a file that cannot be read is named beside the other problems`() throws {
        let good = try directory.write("c.safetensors", ["samples": "2"], [pair[0]])
        let missing = FilePath(directory.appending("gone.safetensors"))
        try directory.write([1, 2], to: "cut.safetensors")
        #expect(
            try message(of: [missing, FilePath(directory.appending("cut.safetensors")), good]) == """
                gone.safetensors: open failed: there is no such file or directory. Correct the path.
                cut.safetensors: is truncated: it has 2 bytes; expected 8. Copy or download it again.
                c.safetensors: layer "l" has "l.input" but no "l.output_grad" for the same rows; expected both. \
                Capture it again, or name the file that holds the other.
                """
        )
    }

    @Test func `every problem of one file is said at once`() throws {
        #expect(
            try message([:], pair + [TestTensor("x", [1, 1]), TestTensor("p.grad", [2])]) == """
                c.safetensors: metadata "samples" is missing; expected the number of samples. \
                Write the file again with it.
                c.safetensors: tensor "x" does not belong in a file of kind capture; expected "<layer>.input", \
                "<layer>.output_grad", "<layer>.row_samples" and "<parameter>.grad". Rename it, or leave it out.
                c.safetensors: tensor "p.grad" has the shape [2]; expected [rows, columns] with at least one column \
                and fewer than 2^40 of each. Write the file again.
                """
        )
    }

    @Test func `files that do not fit together are named in pairs`() throws {
        let digests = ["a", "b"].map { String(repeating: $0, count: 64) }
        let paths = [
            try directory.write("0.safetensors", ["samples": "2", "task": "t", "sha256_base": digests[0]], pair),
            try directory.write(
                "1.safetensors",
                ["samples": "1", "probes": "2", "task": "u", "sha256_base": digests[1]],
                [TestTensor("l.input", [4, 3]), TestTensor("l.output_grad", [8, 3], zeros: .float16)]
            ),
        ]
        let advice = "as in 0.safetensors. Capture them together, or name them under different tasks."
        #expect(
            try message(of: paths) == """
                1.safetensors: the number of probes is 2; expected 1 \(advice)
                1.safetensors: the task is "u"; expected "t" \(advice)
                1.safetensors: the base checkpoint's digest is \(digests[1]); expected \(digests[0]) \(advice)
                1.safetensors: the number of columns of tensor "l.input" is 3; expected 2 \(advice)
                1.safetensors: the element type of tensor "l.output_grad" is F16; expected F32 \(advice)
                """
        )
    }
}
