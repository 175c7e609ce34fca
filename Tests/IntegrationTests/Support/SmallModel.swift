import Foundation
import TestSupport
import Testing

/// A tiny model of three tasks that covers all cases of a job, written to a directory.
///
/// Some layers read the same rows (`q`, `k`, `v`), and one has no bias (`fc`). One parameter is outside layers
/// (`norm.weight`), one has no curvature (`embed.weight`), and one has integers (`steps`).
///
/// A test changes the part that it tests, and then calls ``write()``.
final class SmallModel {
    static let taskNames = ["alpha", "beta", "gamma"]
    static let (samples, positions, probes) = (12, 3, 2)
    private static let (width, inner, outer) = (6, 5, 7)

    let directory: TemporaryDirectory
    var base: TensorFile
    var checkpoints: [String: TensorFile] = [:]
    var captures: [String: TensorFile] = [:]
    var job = JobFile()

    /// Makes the model and writes it.
    ///
    /// - Throws: what Foundation throws when a file cannot be written.
    init(seed: UInt64 = 1) throws {
        directory = try TemporaryDirectory()
        var random = SplitMix64(seed: seed)
        base = Self.checkpoint(&random)
        for name in Self.taskNames {
            checkpoints[name] = Self.moved(base, &random)
            captures[name] = Self.capture(of: name, &random)
            job.tasks.append(
                JobFile.Task(model: "checkpoints/\(name).safetensors", captures: ["captures/\(name).safetensors"]))
        }
        try write()
    }

    var jobPath: String { directory.appending("job.yaml") }

    var outputPath: String { directory.appending("out") }

    /// Writes all files in their current state.
    ///
    /// - Throws: what Foundation throws when a file cannot be written.
    func write() throws {
        try base.write(to: directory.appending("base.safetensors"))
        for (name, file) in checkpoints { try file.write(to: directory.appending("checkpoints/\(name).safetensors")) }
        for (name, file) in captures { try file.write(to: directory.appending("captures/\(name).safetensors")) }
        try job.write(to: jobPath)
    }

    /// Runs the job as written, and requires its success.
    ///
    /// - Returns: The output directory.
    /// - Throws: what the requirement throws.
    @discardableResult
    func run(
        workers: Int = 1, _ options: [String] = [], sourceLocation: SourceLocation = #_sourceLocation
    ) async throws -> String {
        try await Client.runJob(
            jobPath, workers: workers, in: directory, options: ["--quiet"] + options, sourceLocation: sourceLocation)
        return "\(directory.path)/\(job.output)"
    }

    /// Changes the model, writes it, and runs the job with an output directory of its own.
    ///
    /// - Returns: The output directory.
    /// - Throws: what the change, the writing or the requirement of success throws.
    func run(to output: String, _ change: (SmallModel) throws -> Void = { _ in }) async throws -> String {
        job.output = output
        try change(self)
        try write()
        return try await run()
    }

    /// Changes one tensor of a task's capture.
    ///
    /// - Throws: what the requirement throws when the tensor does not exist.
    func changeCapture(_ task: String, _ tensor: String, _ change: (Tensor) -> Tensor) throws {
        var capture = try #require(captures[task])
        let index = try #require(capture.tensors.firstIndex { $0.name == tensor })
        capture.tensors[index] = change(capture.tensors[index])
        captures[task] = capture
    }

    /// Converts the numbers of all captures to another type.
    func convertCaptures(to type: Tensor.ElementType) {
        captures = captures.mapValues { file in
            TensorFile(file.tensors.map { $0.converted(to: type) }, metadata: file.metadata)
        }
    }

    // MARK: - Numbers

    private static func checkpoint(_ random: inout SplitMix64) -> TensorFile {
        var tensors: [Tensor] = []
        for layer in ["q", "k", "v"] {
            tensors.append(tensor("\(layer).weight", [inner, width], &random))
            tensors.append(tensor("\(layer).bias", [inner], &random))
        }
        tensors.append(tensor("fc.weight", [outer, inner], &random))
        tensors.append(tensor("norm.weight", [width], &random))
        tensors.append(tensor("embed.weight", [4, width], &random))
        let steps: [Int64] = [1 << 40, -7]
        tensors.append(Tensor("steps", .int64, [2], bytes: steps.withUnsafeBytes { Data($0) }))
        return TensorFile(tensors, metadata: ["made_by": "a test"])
    }

    private static func moved(_ base: TensorFile, _ random: inout SplitMix64) -> TensorFile {
        var moved = base
        moved.tensors = base.tensors.map { tensor in
            guard tensor.elementType == .float32 else { return tensor }
            return Tensor(
                tensor.name, tensor.shape, tensor.values.map { Float($0) + Float(random.nextSigned()) / 8 })
        }
        return moved
    }

    private static func capture(of task: String, _ random: inout SplitMix64) -> TensorFile {
        let rows = samples * positions
        let shared = tensor("q.input", [rows, width], &random)
        var tensors: [Tensor] = []
        for layer in ["q", "k", "v"] {
            tensors.append(shared.renamed("\(layer).input"))
            tensors.append(tensor("\(layer).output_grad", [rows * probes, inner], &random))
        }
        tensors.append(tensor("fc.input", [rows, inner], &random))
        tensors.append(tensor("fc.output_grad", [rows * probes, outer], &random))
        tensors.append(tensor("norm.weight.grad", [samples * probes, width], &random))
        return TensorFile(
            tensors,
            metadata: ["format": "kfacd.capture/1", "samples": "\(samples)", "probes": "\(probes)", "task": task])
    }

    private static func tensor(_ name: String, _ shape: [Int], _ random: inout SplitMix64) -> Tensor {
        Tensor(name, shape, random.values(shape.reduce(1, *)).map { Float($0) })
    }
}
