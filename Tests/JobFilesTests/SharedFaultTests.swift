import FileAccess
import Glibc
import Identifiers
import JobFiles
import Safetensors
import SystemPackage
import TestSupport
import Testing

/// Many things with one fault, in one file and in four: one line for each cause.
struct SharedFaultTests {
    private let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    /// A way in which every layer or parameter of a capture is wrong.
    struct Fault: Sendable, CustomTestStringConvertible {
        let testDescription: String
        /// The things, as the line counts them.
        let things: String
        let metadata: [String: String]
        let tensors: @Sendable (Int) -> [TestTensor]

        init(
            _ description: String, _ things: String, metadata: [String: String] = ["samples": "2"],
            tensors: @escaping @Sendable (Int) -> [TestTensor]
        ) {
            testDescription = description
            self.things = things
            self.metadata = metadata
            self.tensors = tensors
        }
    }

    private static func pair(_ index: Int) -> [TestTensor] {
        [TestTensor("l\(index).input", [4, 2]), TestTensor("l\(index).output_grad", [4, 3])]
    }

    private static let captures = [
        Fault("no gradients", "layers") { [pair($0)[0]] },
        Fault("no inputs", "layers") { [pair($0)[1]] },
        Fault("other row counts", "layers") { [pair($0)[0], TestTensor("l\($0).output_grad", [3, 3])] },
        Fault("integers of two dimensions", "tensors") {
            [TestTensor("l\($0).input", [4, 2], zeros: .int64), pair($0)[1]]
        },
        Fault("another type", "tensors") { [pair($0)[0], TestTensor("l\($0).output_grad", [4, 3], zeros: .uint8)] },
        Fault("another shape", "tensors") { [pair($0)[0], TestTensor("l\($0).output_grad", [12])] },
        Fault("other names", "tensors") { pair($0) + [TestTensor("l\($0).activation", [4, 2])] },
        Fault("parameters of other rows", "parameters") { [TestTensor("p\($0).grad", [3, 2])] },
        Fault("no samples", "layers and parameters", metadata: samples(0, of: "l"), tensors: pair),
        Fault("samples of nothing", "layers and parameters", metadata: samples(3, of: "x"), tensors: pair),
        Fault("layouts of nothing", "values", metadata: ["samples": "2", "layout": layout], tensors: pair),
    ]

    private static func samples(_ count: Int, of name: String) -> [String: String] {
        let counts = (0..<150).map { "\"\(name)\($0)\":\(count)" }.joined(separator: ",")
        return ["samples": "2", "layer_samples": "{\(counts)}"]
    }

    private static var layout: String {
        "{" + (0..<150).map { "\"x\($0)\":\"in_out\"" }.joined(separator: ",") + "}"
    }

    private func write(_ fault: Fault, files: Int, as name: String = "c") throws -> [FilePath] {
        try (0..<files).map { file in
            try directory.write(
                "\(name)\(file).safetensors", fault.metadata, (0..<150).flatMap { fault.tensors($0) })
        }
    }

    @Test(arguments: captures, [1, 4]) func `a fault of all layers of a capture is one line`(
        fault: Fault, files: Int
    ) throws {
        let paths = try write(fault, files: files)
        let message = errorMessage { () throws(JobFileError) in _ = try CaptureSet(opening: paths) }
        let lines = (message ?? "").split(separator: "\n")
        #expect(lines.count == 1, "\(lines.prefix(3))")
        #expect(lines.first?.contains("The same is true of 149 more \(fault.things): \"") ?? false, "\(lines)")
        // What only the metadata of several files says together is said of the first.
        guard files > 1, fault.testDescription != "samples of nothing" else { return }
        #expect(lines.first?.contains("; and of 3 more files: ") ?? false, "\(lines)")
    }

    @Test func `parts of another width or type than in the first file are one line for each cause`() throws {
        let first = try write(Fault("", "") { Self.pair($0) }, files: 1)
        let others = try write(
            Fault("", "") {
                [TestTensor("l\($0).input", [4, 5]), TestTensor("l\($0).output_grad", [4, 3], zeros: .float16)]
            }, files: 4, as: "d")
        let message = errorMessage { () throws(JobFileError) in _ = try CaptureSet(opening: first + others) }
        #expect((message ?? "").split(separator: "\n").count == 2)
    }

    private static let factors = [
        Fault("a side is missing", "tensors") { [TestTensor("l\($0).A", [2, 2])] },
        Fault("no squares", "tensors") { [TestTensor("l\($0).A", [2, 3]), TestTensor("l\($0).B", [2, 2])] },
        Fault("another type", "tensors") { [TestTensor("p\($0).F", [2, 2], zeros: .int32)] },
        Fault("other names", "tensors") { [TestTensor("p\($0).G", [2, 2])] },
        Fault("diagonals of nothing", "values", metadata: ["diagonal": diagonals]) {
            [TestTensor("p\($0).F", [2, 2])]
        },
    ]

    private static var diagonals: String { "[" + (0..<150).map { "\"x\($0).A\"" }.joined(separator: ",") + "]" }

    @Test(arguments: factors) func `a fault of all factors of a set is one line`(fault: Fault) throws {
        let path = try write(fault, files: 1)[0]
        let message = errorMessage { () throws(JobFileError) in _ = try CurvatureSet(opening: path, as: .factors) }
        let lines = (message ?? "").split(separator: "\n")
        #expect(lines.count == 1, "\(lines)")
        #expect(lines.first?.contains("The same is true of 149 more \(fault.things): ") ?? false, "\(lines)")
    }

    /// What is wrong with a whole file.
    @Test(arguments: [
        "unreadable", "missing", "cut", "foreign", "no samples", "no number of samples", "another format",
    ])
    func `a fault of all files of a capture is one line`(fault: String) throws {
        let paths = try (0..<4).map { file -> FilePath in
            let name = "\(file).safetensors"
            switch fault {
            case "missing": return FilePath(directory.appending(name))
            case "cut": try directory.write([1, 2, UInt8(file)], to: name)
            case "foreign": try directory.write(Array("PK\u{3}\u{4} and the rest of an archive".utf8), to: name)
            case "no samples": return try directory.write(name, ["samples": "0"], Self.pair(0))
            case "no number of samples": return try directory.write(name, [:], Self.pair(0))
            case "another format": return try directory.write(name, ["samples": "2", "format": "x/1"], Self.pair(0))
            default:
                let path = FilePath(directory.appending(name))
                // Reading a directory fails for every user, also for one who may read everything.
                #expect(mkdir(path.string, 0o700) == 0)
                return path
            }
            return FilePath(directory.appending(name))
        }
        let message = errorMessage { () throws(JobFileError) in _ = try CaptureSet(opening: paths) } ?? ""
        #expect(message.split(separator: "\n").count == 1, "\(message)")
        #expect(
            message.contains("The same is true of 3 more files: \(paths[1]), \(paths[2]) and 1 more."), "\(message)")
    }

    @Test func `a metadata value of any length is shown as an excerpt`() throws {
        let layout = "{" + (0..<2000).map { "\"l\($0)\":\"sideways\"" }.joined(separator: ",") + "}"
        let path = try directory.write("c.safetensors", ["samples": "2", "layout": layout], Self.pair(0))
        let message = errorMessage { () throws(JobFileError) in _ = try CaptureSet(opening: [path]) } ?? ""
        #expect(message.utf8.count < 400 + path.string.utf8.count)
        #expect(message.contains("metadata \"layout\" is \"{\"l0\":\"sideways\","))
        #expect(
            message.hasSuffix("…\"; expected an object of out_in and in_out by layer. Write the file again with it."))
    }
}
