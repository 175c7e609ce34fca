import Foundation
import TestSupport

/// A model whose job takes some seconds, so that processes can be killed in the middle of it.
///
/// Its rows are windows into one pool of random numbers: distinct, and quick to write.
struct LargeModel: Sendable {
    private static let taskNames = ["alpha", "beta", "gamma"]
    private static let layers = [("0", 256, 384), ("1", 384, 256), ("2", 256, 256)]
    private static let samples = 768
    private static let rows = 3072

    let directory: TemporaryDirectory

    /// Writes the files.
    ///
    /// - Throws: what Foundation throws when one cannot be written.
    init() throws {
        directory = try TemporaryDirectory()
        var random = SplitMix64(seed: 7)
        let pool = random.values(1 << 17).map { Float($0) }
        var next = 0
        func window(_ name: String, _ shape: [Int]) -> Tensor {
            var data = Data(capacity: shape.reduce(4, *))
            pool.withUnsafeBytes { bytes in
                for _ in 0..<shape.dropLast().reduce(1, *) {
                    let width = shape[shape.count - 1]
                    next = (next + 1_000_003) % (pool.count - width)
                    data.append(Data(bytes[next * 4..<(next + width) * 4]))
                }
            }
            return Tensor(name, .float32, shape, bytes: data)
        }
        func checkpoint() -> TensorFile {
            TensorFile(
                Self.layers.flatMap { name, inputs, outputs in
                    [window("\(name).weight", [outputs, inputs]), window("\(name).bias", [outputs])]
                } + [window("norm.weight", [256])])
        }
        try checkpoint().write(to: directory.appending("base.safetensors"))
        for task in Self.taskNames {
            try checkpoint().write(to: directory.appending("\(task).safetensors"))
            let capture = TensorFile(
                Self.layers.flatMap { name, inputs, outputs in
                    [
                        window("\(name).input", [Self.rows, inputs]),
                        window("\(name).output_grad", [Self.rows, outputs]),
                    ]
                } + [window("norm.weight.grad", [Self.samples, 256])],
                metadata: ["format": "kfacd.capture/1", "samples": "\(Self.samples)"])
            try capture.write(to: directory.appending("inputs/\(task).safetensors"))
        }
    }

    /// Writes a job file beside the model.
    ///
    /// - Parameter output: The output directory; a test's own, since jobs of one model must not meet there.
    /// - Returns: The job file's path.
    /// - Throws: what Foundation throws when it cannot be written.
    func writeJob(output: String) throws -> String {
        var job = JobFile(method: "kfac", output: output)
        job.curvature = ["damping: {rule: relative, value: 0.1}"]
        job.tasks = Self.taskNames.map {
            JobFile.Task(model: "\($0).safetensors", captures: ["inputs/\($0).safetensors"])
        }
        let path = directory.appending("job-\(UUID().uuidString).yaml")
        try job.write(to: path)
        return path
    }
}
