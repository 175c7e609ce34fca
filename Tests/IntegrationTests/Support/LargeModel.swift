import Foundation
import TestSupport

/// A model whose job takes some seconds, so that processes can be killed in the middle of it.
///
/// Its rows are windows into one pool of random numbers: distinct, and quick to write.
struct LargeModel: Sendable {
    /// How much there is to compute.
    struct Size: Sendable {
        /// Inputs and outputs of each layer.
        let layers: [(inputs: Int, outputs: Int)]
        let samples: Int
        let positions: Int

        /// Few units that take long.
        static let fewUnits = Size(layers: [(256, 384), (384, 256), (256, 256)], samples: 768, positions: 4)

        /// Many units, each over in a moment.
        static let manyUnits = Size(
            layers: (0..<10).map { (96 + 16 * ($0 % 3), 96 + 32 * ($0 % 2)) }, samples: 512, positions: 8)
    }

    private static let taskNames = ["alpha", "beta", "gamma"]

    let directory: TemporaryDirectory

    /// Writes the files.
    ///
    /// - Throws: what Foundation throws when one cannot be written.
    init(_ size: Size = .fewUnits) throws {
        directory = try TemporaryDirectory()
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
                } + [window("norm.weight", [256])])
        }
        try checkpoint().write(to: directory.appending("base.safetensors"))
        for task in Self.taskNames {
            try checkpoint().write(to: directory.appending("\(task).safetensors"))
            let capture = TensorFile(
                layers.flatMap { name, inputs, outputs in
                    [
                        window("\(name).input", [rows, inputs]),
                        window("\(name).output_grad", [rows, outputs]),
                    ]
                } + [window("norm.weight.grad", [size.samples, 256])],
                metadata: ["format": "kfacd.capture/1", "samples": "\(size.samples)"])
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
