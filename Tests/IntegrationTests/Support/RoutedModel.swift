import Foundation
import TestSupport
import Testing

/// A model of padded sequences and routed experts, with three tasks.
///
/// `enc` has a bias and reads tokens after padding. The experts read the tokens that are routed to them: `experts.1`
/// gets none in task `two`, `experts.2` none in `one` and `three`, `experts.3` none at all. The captures hold all rows
/// that there are; the same numbers stand here by sample.
struct RoutedModel {
    static let tasks = ["one", "two", "three"]
    static let probes = 2
    static let (width, outer) = (4, 3)
    static let layers = ["enc", "experts.0", "experts.1", "experts.2", "experts.3"]

    /// The rows of one layer, by sample.
    struct Rows {
        /// Sample, position, column.
        var inputs: [[[Double]]]
        /// Probe, sample, position, column.
        var gradients: [[[[Double]]]]
    }

    let directory: TemporaryDirectory
    let samples = ["one": 7, "two": 5, "three": 9]
    private(set) var rows: [String: [String: Rows]] = [:]
    /// Task, probe and sample, column: the gradients of `norm.weight`.
    private(set) var normGradients: [String: [[Double]]] = [:]
    private(set) var base = TensorFile([])
    private(set) var checkpoints: [String: TensorFile] = [:]
    var job = JobFile()

    init() throws {
        directory = try TemporaryDirectory()
        var random = SplitMix64(seed: 11)
        base = TensorFile(Self.parameters(&random))
        for task in Self.tasks {
            checkpoints[task] = TensorFile(Self.parameters(&random))
            for layer in Self.layers { rows[task, default: [:]][layer] = drawn(task, layer, &random) }
            normGradients[task] = (0..<Self.probes * (samples[task] ?? 0)).map { _ in Self.row(Self.width, &random) }
            job.tasks.append(
                JobFile.Task(name: task, model: "\(task).safetensors", captures: ["captures/\(task)-*.safetensors"]))
        }
        job.method = "kfac"
        try base.write(to: directory.appending("base.safetensors"))
        for (task, file) in checkpoints { try file.write(to: directory.appending("\(task).safetensors")) }
        for task in Self.tasks { try writeCaptures(task) }
    }

    /// Runs the job with two workers.
    ///
    /// - Throws: what the requirement of success throws.
    func run(_ output: String) async throws -> String {
        var job = job
        job.output = output
        try job.write(to: directory.appending("job.yaml"))
        try await Client.runJob(
            directory.appending("job.yaml"), workers: 2, in: directory, options: ["--quiet"])
        return directory.appending(output)
    }

    // MARK: - Numbers

    /// A row of values that F32 holds.
    private static func row(_ count: Int, _ random: inout SplitMix64) -> [Double] {
        random.values(count).map { Double(Float($0)) }
    }

    private static func parameters(_ random: inout SplitMix64) -> [Tensor] {
        func tensor(_ name: String, _ shape: [Int]) -> Tensor {
            Tensor(name, shape, row(shape.reduce(1, *), &random).map { Float($0) })
        }
        return layers.map { tensor("\($0).weight", [outer, width]) }
            + [tensor("enc.bias", [outer]), tensor("norm.weight", [width])]
    }

    private func drawn(_ task: String, _ layer: String, _ random: inout SplitMix64) -> Rows {
        let lengths = (0..<(samples[task] ?? 0)).map { sample in
            switch (layer, task) {
            case ("enc", _): 1 + (sample * 5 + task.count) % 4
            case ("experts.1", "two"), ("experts.2", "one"), ("experts.2", "three"), ("experts.3", _): 0
            // Some samples send no token to the expert.
            default: (sample + task.count + layer.count) % 3
            }
        }
        return Rows(
            inputs: lengths.map { length in (0..<length).map { _ in Self.row(Self.width, &random) } },
            gradients: (0..<Self.probes).map { _ in
                lengths.map { length in (0..<length).map { _ in Self.row(Self.outer, &random) } }
            })
    }

    // MARK: - Captures

    /// Two files that split the samples; layers without rows are stated in both ways.
    private func writeCaptures(_ task: String) throws {
        let count = samples[task] ?? 0
        for (part, range) in [0..<3, 3..<count].enumerated() {
            var tensors: [Tensor] = []
            var own: [String] = []
            for layer in Self.layers {
                guard let rows = rows[task]?[layer] else { continue }
                let isEmpty = rows.inputs.allSatisfy(\.isEmpty)
                if isEmpty, part == 1 || layer == "experts.3" {
                    own.append("\"\(layer)\":0")
                } else {
                    tensors += Self.tensors(layer, rows, range)
                }
            }
            let norms = (0..<Self.probes).flatMap { probe in range.map { probe * count + $0 } }
            tensors.append(
                Self.tensor("norm.weight.grad", norms.compactMap { normGradients[task]?[$0] }, Self.width))
            var metadata = [
                "format": "kfacd.capture/1", "samples": "\(range.count)", "probes": "\(Self.probes)", "task": task,
            ]
            if !own.isEmpty { metadata["layer_samples"] = "{\(own.joined(separator: ","))}" }
            try TensorFile(tensors, metadata: metadata)
                .write(to: directory.appending("captures/\(task)-\(part).safetensors"))
        }
    }

    private static func tensors(_ layer: String, _ rows: Rows, _ range: Range<Int>) -> [Tensor] {
        let numbers = range.flatMap { sample in
            rows.inputs[sample].map { _ in Int32(sample - range.lowerBound) }
        }
        return [
            tensor("\(layer).input", range.flatMap { rows.inputs[$0] }, width),
            tensor(
                "\(layer).output_grad", rows.gradients.flatMap { probe in range.flatMap { probe[$0] } }, outer),
            Tensor("\(layer).row_samples", .int32, [numbers.count], bytes: numbers.withUnsafeBytes { Data($0) }),
        ]
    }

    private static func tensor(_ name: String, _ rows: [[Double]], _ width: Int) -> Tensor {
        Tensor(name, [rows.count, width], rows.flatMap { $0 }.map { Float($0) })
    }
}
