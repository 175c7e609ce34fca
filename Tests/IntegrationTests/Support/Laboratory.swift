import Foundation
import TestSupport
import Testing

/// `kfaclab` with the three files of a study.
///
/// The model has one block of width 8 with random parameters. There are three tasks of three classes.
final class Laboratory {
    static let tasks = ["alpha", "beta", "gamma"]
    private static let program = URL(fileURLWithPath: Programs.client).deletingLastPathComponent()
        .appendingPathComponent("kfaclab").path

    let directory: TemporaryDirectory

    /// Writes the files.
    ///
    /// - Throws: what Foundation throws when a file cannot be written.
    init() throws {
        directory = try TemporaryDirectory()
        try writeStudy("data", seed: 1)
    }

    /// Starts a command; its paths are below ``directory``.
    ///
    /// - Throws: what Foundation throws when the program cannot be started.
    func start(_ arguments: [String], name: String = "lab-\(UUID().uuidString)") throws -> RunningProgram {
        try RunningProgram(Self.program, arguments, name: name, in: directory)
    }

    /// Runs a command on the data to its end.
    ///
    /// - Throws: ``WaitError`` when the command does not end in time.
    func run(_ command: String, _ arguments: String..., data: String = "data") async throws -> CommandResult {
        let program = try start([command, "--data", data, "--lanes", "2"] + arguments)
        let code = try await program.exitCode()
        return CommandResult(exitCode: code, output: program.output, errors: program.errors)
    }

    /// Expects that a command is refused with a sentence, and leaves no file of this name.
    func expectFailure(
        _ result: CommandResult, code: Int32, _ parts: String..., leaving file: String? = nil,
        sourceLocation: SourceLocation = #_sourceLocation
    ) {
        #expect(result.exitCode == code, "\(result.errors)", sourceLocation: sourceLocation)
        for part in parts {
            #expect(
                result.errors.contains(part), "expected “\(part)” in: \(result.errors)", sourceLocation: sourceLocation)
        }
        guard let file else { return }
        #expect(!FileManager.default.fileExists(atPath: directory.appending(file)), sourceLocation: sourceLocation)
    }

    /// Captures all tasks, and runs a job on them that writes `regularizer/<task>/regularizer.safetensors` below `job`.
    ///
    /// - Throws: what the requirement throws when a command fails.
    func computeRegularizers() async throws {
        let captured = try await run("capture", "--output", "captures", "--samples", "16", "--probes", "2")
        try #require(captured.exitCode == 0, "\(captured.errors)")
        var job = JobFile(base: "data/base.safetensors", output: "job")
        job.tasks = Self.tasks.map { JobFile.Task(name: $0, captures: ["captures/\($0).safetensors"]) }
        job.curvature = ["regularizer: {form: accumulated}"]
        job.outputs = ["factors", "regularizer", "report"]
        try job.write(to: directory.appending("job.yaml"))
        try await Client.runJob(directory.appending("job.yaml"), workers: 1, in: directory)
    }

    /// The path of the regularizer that leaves out a task.
    static func regularizer(without task: String) -> String { "job/regularizer/\(task)/regularizer.safetensors" }

    // MARK: - Files

    private static let configuration = ["d": 8, "depth": 1, "heads": 2, "mlp": 2, "patch": 14]

    /// Writes base, heads and data.
    ///
    /// - Throws: what Foundation throws when a file cannot be written.
    func writeStudy(_ name: String, seed: UInt64, featureWidth: Int = 6) throws {
        try FileManager.default.createDirectory(atPath: directory.appending(name), withIntermediateDirectories: true)
        var random = SplitMix64(seed: seed)
        let configuration = Self.configuration.merging(["out": featureWidth]) { $1 }
        let text = String(decoding: try JSONSerialization.data(withJSONObject: configuration), as: UTF8.self)
        try write(
            Self.baseShapes(featureWidth: featureWidth).map { name, shape in
                let isScale = name.contains("ln") && name.hasSuffix(".weight")
                let values = random.values(shape.reduce(1, *)).map { Float($0) * 0.4 + (isScale ? 1 : 0) }
                return Entry(name: name, type: "F32", shape: shape, bytes: values.withUnsafeBytes { Data($0) })
            }, metadata: ["cfg": text], to: "\(name)/base.safetensors")
        try write(
            Self.tasks.map { task in
                let values = random.values(3 * featureWidth).map { Float($0) * 2 }
                return Entry(
                    name: "\(task).head", type: "F32", shape: [3, featureWidth],
                    bytes: values.withUnsafeBytes { Data($0) })
            }, metadata: [:], to: "\(name)/heads.safetensors")
        try write(
            Self.images(&random), metadata: ["tasks": "[\"alpha\", \"beta\", \"gamma\"]"],
            to: "\(name)/data.safetensors")
    }

    private static func baseShapes(featureWidth: Int) -> [(String, [Int])] {
        let block: [(String, [Int])] = [
            ("ln1.weight", [8]), ("ln1.bias", [8]), ("qkv.weight", [24, 8]), ("qkv.bias", [24]),
            ("proj.weight", [8, 8]), ("proj.bias", [8]), ("ln2.weight", [8]), ("ln2.bias", [8]),
            ("fc1.weight", [16, 8]), ("fc1.bias", [16]), ("fc2.weight", [8, 16]), ("fc2.bias", [8]),
        ]
        let first: [(String, [Int])] = [
            ("patch.weight", [8, 196]), ("patch.bias", [8]), ("pos_embed", [5, 8]), ("cls_token", [8]),
            ("ln_pre.weight", [8]), ("ln_pre.bias", [8]),
        ]
        let last: [(String, [Int])] = [
            ("ln_post.weight", [8]), ("ln_post.bias", [8]), ("lin_proj.weight", [featureWidth, 8]),
        ]
        return first + block.map { ("blocks.0.\($0.0)", $0.1) } + last
    }

    /// Six training images for each class; the images of a class have one bright quarter.
    private static func images(_ random: inout SplitMix64) -> [Entry] {
        var entries: [Entry] = []
        for (shift, task) in tasks.enumerated() {
            for (split, count) in [("train", 18), ("validation", 6), ("test", 9)] {
                var pixels = Data()
                for sample in 0..<count {
                    for pixel in 0..<784 {
                        let isBright = pixel / 28 / 14 * 2 + pixel % 28 / 14 == (sample + shift) % 3
                        pixels.append(UInt8(random.next() % 100) + (isBright ? 150 : 0))
                    }
                }
                entries.append(Entry(name: "\(task).\(split).x", type: "U8", shape: [count, 28, 28], bytes: pixels))
                entries.append(
                    Entry(
                        name: "\(task).\(split).y", type: "U8", shape: [count],
                        bytes: Data((0..<count).map { UInt8($0 % 3) })
                    ))
            }
        }
        return entries
    }

    private struct Entry {
        let name: String
        let type: String
        let shape: [Int]
        let bytes: Data
    }

    private func write(_ entries: [Entry], metadata: [String: String], to name: String) throws {
        var header: [String: Any] = ["__metadata__": metadata]
        var payload = Data()
        for entry in entries {
            header[entry.name] = [
                "dtype": entry.type, "shape": entry.shape,
                "data_offsets": [payload.count, payload.count + entry.bytes.count],
            ]
            payload.append(entry.bytes)
        }
        let text = String(decoding: try JSONSerialization.data(withJSONObject: header), as: UTF8.self)
        try TensorFile.bytes(header: text, payload: payload)
            .write(to: URL(fileURLWithPath: directory.appending(name)))
    }
}
