import Foundation
import Safetensors

/// The files of a job of many tiny layers: its units take no time, so that what is left is their handling.
struct TinyLayers {
    private static let (width, rows, tasks) = (8, 16, 2)
    /// Units of a layer: two factors of each task, and the sums of each side.
    private static let unitsPerLayer = 2 * tasks + 2

    /// The job file.
    let job: String
    /// A directory for its outputs.
    let output: String

    /// Writes the files for a job of about so many units.
    init(units: Int, in directory: WorkDirectory) throws {
        let layers = max(1, units / Self.unitsPerLayer)
        let place = "tiny-\(layers)"
        let files = ModelFiles(directory: directory)
        try files.write(
            "\(place)/base.safetensors",
            (0..<layers).map {
                TensorDescription(name: "fc\($0).weight", dataType: .float32, shape: [Self.width, Self.width])
            }, seed: 1)
        var text = "merge_method: task_arithmetic\nbase_model: base.safetensors\nmodels:\n"
        for task in 1...Self.tasks {
            let captures = (0..<layers).flatMap { layer in
                ["input", "output_grad"].map {
                    TensorDescription(name: "fc\(layer).\($0)", dataType: .float32, shape: [Self.rows, Self.width])
                }
            }
            try files.write(
                "\(place)/task\(task).safetensors", captures,
                metadata: ["format": "kfacd.capture/1", "samples": "\(Self.rows)", "probes": "1"], seed: 1 + task)
            text += "  - {name: task\(task), captures: task\(task).safetensors}\n"
        }
        text += "outputs: [factors, report]\noutput: out\n"
        job = directory.file("\(place)/job.yaml")
        output = directory.file("\(place)/out")
        try text.write(toFile: job, atomically: true, encoding: .utf8)
    }
}
