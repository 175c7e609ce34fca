import Identifiers
import JobPlan
import UnitOperations

/// A base, and what one task captured of it; each test changes the part that it tests.
struct StoredModel {
    /// The base's tensors.
    var tensors: [(name: String, shape: [Int])] = []
    /// The captured layers, with d_in and d_out.
    var layers: [(name: String, inputs: Int, outputs: Int)] = []
    /// The captured parameters, with their number of elements.
    var parameters: [(name: String, count: Int)] = []
    /// The layouts that the capture file declares.
    var declared: [String: WeightLayout] = [:]
    var modelType: String?
    /// More lines under `kfac`.
    var curvature: [String] = []
    /// Metadata of the base's file.
    var metadata: [String: String] = [:]
    var configuration: [String: String]?

    /// The job of a `kfac` merge.
    ///
    /// - Throws: `JobRefusal` for a text with problems.
    func spec() throws(JobRefusal) -> JobSpec {
        try JobFileText(
            method: "kfac", base: "b", models: ["- {name: a, model: a, captures: c}"],
            rest: curvature.isEmpty ? [] : ["kfac:"] + curvature.map { "  \($0)" }
        ).spec()
    }

    /// The contents of its files.
    var inventory: JobInventory {
        let plain = CheckpointInventory.of(tensors.map { ($0.name, $0.shape) }, location: "models/base", file: 0)
        let shards = plain.shards.map {
            CheckpointInventory.Shard(name: $0.name, metadata: metadata, tensors: $0.tensors)
        }
        var base = CheckpointInventory(location: "models/base", shards: shards, modelType: modelType)
        base.configuration = configuration.map {
            ModelConfiguration(location: "models/base/config.json", values: $0)
        }
        var captures = CaptureInventory(
            probes: 1,
            layers: Dictionary(
                uniqueKeysWithValues: layers.map { layer in
                    (
                        LayerName(rawValue: layer.name),
                        .init(
                            input: .of("\(layer.name).input", rows: 8, columns: layer.inputs, file: 0),
                            outputGradient: .of("\(layer.name).output_grad", rows: 8, columns: layer.outputs, file: 0),
                            samples: 8, positions: 1)
                    )
                }),
            parameters: Dictionary(
                uniqueKeysWithValues: parameters.map {
                    (
                        ParameterName(rawValue: $0.name),
                        .init(gradient: .of("\($0.name).grad", rows: 8, columns: $0.count, file: 0), samples: 8)
                    )
                }))
        captures.layouts = declared.mapValues { Located($0, at: "c.safetensors") }
        var inventory = JobInventory(files: [.of("/base.safetensors", role: "base")], base: base)
        inventory.checkpoints = ["a": plain]
        inventory.captures = ["a": captures]
        return inventory
    }

    /// The problems of the job against its files.
    ///
    /// - Throws: `JobRefusal` for a job file with problems.
    func problems() throws(JobRefusal) -> [String] { try spec().problems(against: inventory).map(\.description) }

    /// The blocks of the plan.
    ///
    /// - Throws: `JobRefusal` with the problems of the job.
    func blocks() throws(JobRefusal) -> [CurvatureBlock] {
        try JobPlan(spec: try spec(), inventory: inventory).blocks
    }
}
