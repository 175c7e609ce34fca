import Foundation
import TestSupport

/// A model whose job takes several seconds, so that processes can be killed in the middle.
///
/// Its rows are windows into one pool of random numbers. So they are distinct and quick to write.
struct LargeModel: Sendable {
    /// The amount of work.
    struct Size: Sendable {
        /// Inputs and outputs of each layer.
        let layers: [(inputs: Int, outputs: Int)]
        let samples: Int
        let positions: Int

        /// Few units, each of which takes long.
        static let fewUnits = Size(layers: [(256, 384), (384, 256), (256, 256)], samples: 768, positions: 4)

        /// Many short units.
        static let manyUnits = Size(
            layers: (0..<10).map { (96 + 16 * ($0 % 3), 96 + 32 * ($0 % 2)) }, samples: 512, positions: 8)

        /// Factors that are large compared to their rows, so that no unit is worth moving to another worker.
        static let fewRows = Size(
            layers: [(192, 256), (256, 192), (128, 256), (256, 128)], samples: 48, positions: 4)

        /// The dimensions of a task's factors: A (with the bias's column) and B of each layer, and the parameter's F.
        var factorDimensions: [Int] {
            layers.flatMap { [$0.inputs + 1, $0.outputs] } + [LargeModel.parameterWidth]
        }
    }

    private static let parameterWidth = 256

    let directory: TemporaryDirectory
    private let taskNames: [String]

    /// Writes the files.
    ///
    /// - Throws: what Foundation throws when a file cannot be written.
    init(_ size: Size = .fewUnits, tasks: [String] = ["alpha", "beta", "gamma"]) throws {
        directory = try TemporaryDirectory()
        taskNames = tasks
        let layers = size.layers.enumerated().map { ("\($0.offset)", $0.element.inputs, $0.element.outputs) }
        let rows = size.samples * size.positions
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
                layers.flatMap { name, inputs, outputs in
                    [window("\(name).weight", [outputs, inputs]), window("\(name).bias", [outputs])]
                } + [window("norm.weight", [Self.parameterWidth])])
        }
        try checkpoint().write(to: directory.appending("base.safetensors"))
        for task in taskNames {
            try checkpoint().write(to: directory.appending("\(task).safetensors"))
            let capture = TensorFile(
                layers.flatMap { name, inputs, outputs in
                    [
                        window("\(name).input", [rows, inputs]),
                        window("\(name).output_grad", [rows, outputs]),
                    ]
                } + [window("norm.weight.grad", [size.samples, Self.parameterWidth])],
                metadata: ["format": "kfacd.capture/1", "samples": "\(size.samples)"])
            try capture.write(to: directory.appending("inputs/\(task).safetensors"))
        }
    }

    /// Writes a job file beside the model.
    ///
    /// - Parameter output: The output directory. Each test needs its own, because all jobs share the model.
    /// - Returns: The job file's path.
    /// - Throws: what Foundation throws when the file cannot be written.
    func writeJob(output: String) throws -> String {
        var job = JobFile(method: "kfac", output: output)
        job.curvature = ["damping: {rule: relative, value: 0.1}"]
        job.tasks = taskNames.map {
            JobFile.Task(model: "\($0).safetensors", captures: ["inputs/\($0).safetensors"])
        }
        return try write(job)
    }

    /// Writes a job file for the first tasks without their checkpoints: one regularizer, summed over all of them.
    ///
    /// - Parameters:
    ///   - tasks: The number of tasks.
    ///   - outputs: The outputs of the job.
    ///   - output: The output directory.
    /// - Returns: The job file's path.
    /// - Throws: what Foundation throws when the file cannot be written.
    func writeCurvatureJob(tasks: Int, outputs: [String], output: String) throws -> String {
        var job = JobFile(outputs: outputs, output: output)
        job.curvature = ["regularizer: {targets: all}"]
        job.tasks = taskNames.prefix(tasks).map { JobFile.Task(name: $0, captures: ["inputs/\($0).safetensors"]) }
        return try write(job)
    }

    private func write(_ job: JobFile) throws -> String {
        let path = directory.appending("job-\(UUID().uuidString).yaml")
        try job.write(to: path)
        return path
    }
}
