import Foundation
import TestSupport
import Testing

/// A layer of a test's model: its place in stored tensors, and what it computes with them.
///
/// `apply` is the layer's own forward pass in float64. It knows nothing of matrices, factors or regions.
struct StoredLayerExample: Sendable {
    /// The name in the captures.
    let name: String
    let inputs: Int
    let outputs: Int
    /// The tensors that the layer reads.
    let tensors: [String]
    let apply: @Sendable (_ tensors: [String: [Double]], _ row: [Double]) -> [Double]
}

/// A model of layers that are stored in many ways, with two tasks, and the values that a merge must give.
final class StoredModel {
    static let tasks = ["alpha", "beta"]
    static let samples = 24

    let directory: TemporaryDirectory
    let layers: [StoredLayerExample]
    var base: TensorFile
    var checkpoints: [String: TensorFile] = [:]
    var captures: [String: TensorFile] = [:]
    var job = JobFile()

    /// Makes the model with random numbers; ``write()`` writes it.
    ///
    /// - Throws: What Foundation throws when a directory cannot be made.
    init(_ layers: [StoredLayerExample], tensors: [(name: String, shape: [Int])], seed: UInt64 = 7) throws {
        directory = try TemporaryDirectory()
        self.layers = layers
        var random = SplitMix64(seed: seed)
        func made(_ name: String, _ shape: [Int]) -> Tensor {
            Tensor(name, shape, random.values(shape.reduce(1, *)).map { Float($0) })
        }
        base = TensorFile(tensors.map { made($0.name, $0.shape) })
        for task in Self.tasks {
            checkpoints[task] = TensorFile(
                base.tensors.map { tensor in
                    Tensor(tensor.name, tensor.shape, tensor.values.map { Float($0 + random.nextSigned() / 4) })
                })
            captures[task] = TensorFile(
                layers.flatMap { layer in
                    [
                        made("\(layer.name).input", [Self.samples, layer.inputs]),
                        made("\(layer.name).output_grad", [Self.samples, layer.outputs]),
                    ]
                }, metadata: ["format": "kfacd.capture/1", "samples": "\(Self.samples)", "task": task])
            job.tasks.append(
                JobFile.Task(name: task, model: "\(task)/model.safetensors", captures: ["\(task)/captures.safetensors"])
            )
        }
        job.method = "kfac"
        job.base = "base"
        job.curvature = ["damping: {rule: absolute, value: 0}"]
        job.outputs = ["factors", "regularizer", "merged", "report"]
    }

    /// Writes all files in their current state.
    ///
    /// - Throws: What Foundation throws when a file cannot be written.
    func write() throws {
        try base.write(to: directory.appending("base/model.safetensors"))
        for (task, file) in checkpoints { try file.write(to: directory.appending("\(task)/model.safetensors")) }
        for (task, file) in captures { try file.write(to: directory.appending("\(task)/captures.safetensors")) }
        try job.write(to: directory.appending("job.yaml"))
    }

    /// Writes the base's and the checkpoints' `config.json`.
    ///
    /// - Throws: What Foundation throws when a file cannot be written.
    func configure(_ json: String) throws {
        for name in ["base"] + Self.tasks {
            let path = directory.appending("\(name)/config.json")
            try FileManager.default.createDirectory(
                at: URL(fileURLWithPath: path).deletingLastPathComponent(), withIntermediateDirectories: true)
            try Data(json.utf8).write(to: URL(fileURLWithPath: path))
        }
    }

    /// Runs the job into an output of its own.
    ///
    /// - Returns: The merged checkpoint, and the report.
    /// - Throws: What the run's requirements throw.
    func run(_ output: String = "out") async throws -> (merged: TensorFile, report: [String: Any]) {
        job.output = output
        try write()
        try await Client.runJob(directory.appending("job.yaml"), workers: 1, in: directory, options: ["--quiet"])
        let bytes = try Data(contentsOf: URL(fileURLWithPath: directory.appending("\(output)/report.json")))
        let report = try #require(try JSONSerialization.jsonObject(with: bytes) as? [String: Any])
        return (try TensorFile(reading: directory.appending("\(output)/merged/model.safetensors")), report)
    }

    // MARK: - Independent values

    private func values(_ file: TensorFile) -> [String: [Double]] {
        Dictionary(uniqueKeysWithValues: file.tensors.map { ($0.name, $0.values) })
    }

    private func rows(_ task: String, _ tensor: String) throws -> [[Double]] {
        let tensor = try #require(captures[task]).tensor(tensor)
        let width = tensor.shape[1]
        let values = tensor.values
        return (0..<tensor.shape[0]).map { Array(values[$0 * width..<($0 + 1) * width]) }
    }

    /// The interference matrix sample by sample: Σ (gᵀ (f_{θ_i}(a) − f_{θ_0}(a)))² / N² over all pairs of rows.
    ///
    /// - Throws: What the requirement throws when a tensor is missing.
    func interference() throws -> [[Double]] {
        let origin = values(base)
        return try Self.tasks.map { vector in
            let own = values(try #require(checkpoints[vector]))
            return try Self.tasks.map { task in
                var sum = 0.0
                for layer in layers {
                    let gradients = try rows(task, "\(layer.name).output_grad")
                    for input in try rows(task, "\(layer.name).input") {
                        let change = zip(layer.apply(own, input), layer.apply(origin, input)).map { $0 - $1 }
                        for gradient in gradients {
                            let moved = zip(gradient, change).reduce(0) { $0 + $1.0 * $1.1 }
                            sum += moved * moved
                        }
                    }
                }
                return sum / Double(Self.samples * Self.samples)
            }
        }
    }

    /// The merge by a dense solve over the elements as they are stored; elements of no layer take the mean.
    ///
    /// - Throws: What the requirement throws when a tensor is missing.
    func merged() throws -> [String: [Double]] {
        let origin = values(base)
        let vectors = try Self.tasks.map { task in
            values(try #require(checkpoints[task])).map { name, values in
                (name, zip(values, origin[name] ?? []).map { $0 - $1 })
            }
        }.map { Dictionary(uniqueKeysWithValues: $0) }
        var merged = origin
        for name in origin.keys {
            for index in origin[name]?.indices ?? 0..<0 {
                merged[name]?[index] += vectors.reduce(0) { $0 + ($1[name]?[index] ?? 0) } / Double(vectors.count)
            }
        }
        for layer in layers {
            let elements = try elements(of: layer, origin)
            let solution = try solve(layer, elements, origin, vectors)
            for (element, value) in zip(elements, solution) {
                merged[element.tensor]?[element.index] = (origin[element.tensor]?[element.index] ?? 0) + value
            }
        }
        return merged
    }

    private typealias Element = (tensor: String, index: Int)

    /// The stored elements that change the layer's output.
    private func elements(of layer: StoredLayerExample, _ origin: [String: [Double]]) throws -> [Element] {
        let row = (0..<layer.inputs).map { Double($0 + 1) }
        let before = layer.apply(origin, row)
        return layer.tensors.flatMap { tensor in
            (origin[tensor] ?? []).indices.compactMap { index in
                var moved = origin
                moved[tensor]?[index] += 1
                return layer.apply(moved, row) == before ? nil : (tensor, index)
            }
        }
    }

    /// Solves Σ λ_t (B_t ⊗ A_t) Δ_t = (B̄ ⊗ Ā) Δ, with both sides as sums over pairs of rows.
    private func solve(
        _ layer: StoredLayerExample, _ elements: [Element], _ origin: [String: [Double]],
        _ vectors: [[String: [Double]]]
    ) throws -> [Double] {
        let (count, share) = (elements.count, 1 / Double(Self.tasks.count))
        var matrix = [Double](repeating: 0, count: count * count)
        var right = [Double](repeating: 0, count: count)
        let gradients = try Self.tasks.map { try rows($0, "\(layer.name).output_grad") }
        for (task, name) in Self.tasks.enumerated() {
            for input in try rows(name, "\(layer.name).input") {
                // The layer is affine, so a unit step is its derivative.
                let before = layer.apply(origin, input)
                let derivatives = elements.map { element in
                    var moved = origin
                    moved[element.tensor]?[element.index] += 1
                    return zip(layer.apply(moved, input), before).map { $0 - $1 }
                }
                for other in Self.tasks.indices {
                    for gradient in gradients[other] {
                        let direction = derivatives.map { zip($0, gradient).reduce(0) { $0 + $1.0 * $1.1 } }
                        for row in 0..<count where direction[row] != 0 {
                            for column in 0..<count {
                                matrix[row * count + column] += share * share * direction[row] * direction[column]
                            }
                        }
                        guard other == task else { continue }
                        let step = zip(direction, elements).reduce(0) {
                            $0 + $1.0 * (vectors[task][$1.1.tensor]?[$1.1.index] ?? 0)
                        }
                        for row in 0..<count { right[row] += share * direction[row] * step }
                    }
                }
            }
        }
        return Self.solution(matrix, right)
    }

    /// Gaussian elimination of a positive definite system.
    private static func solution(_ matrix: [Double], _ right: [Double]) -> [Double] {
        var (matrix, right) = (matrix, right)
        let count = right.count
        for pivot in 0..<count {
            for row in pivot + 1..<max(count, pivot + 1) {
                let factor = matrix[row * count + pivot] / matrix[pivot * count + pivot]
                for column in pivot..<count { matrix[row * count + column] -= factor * matrix[pivot * count + column] }
                right[row] -= factor * right[pivot]
            }
        }
        for row in (0..<count).reversed() {
            for column in row + 1..<max(count, row + 1) { right[row] -= matrix[row * count + column] * right[column] }
            right[row] /= matrix[row * count + row]
        }
        return right
    }
}
