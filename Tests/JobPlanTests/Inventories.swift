import Identifiers
import JobPlan
import KroneckerFactors
import LinearAlgebra
import UnitOperations

/// A small model and the tasks that captured it; each test changes the part that it tests.
struct SmallModel {
    /// A linear layer of the base, `[outputs, inputs]`.
    struct Layer {
        var name: String
        var outputs = 3
        var inputs = 4
        var hasBias = true
    }

    var layers = [Layer(name: "fc1"), Layer(name: "fc2", outputs: 2, inputs: 3, hasBias: false)]
    var parameters = [(name: "norm.weight", count: 4)]
    var samples = 10
    var positions = 1
    var probes = 2
    /// Other tensors of the base.
    var others: [(name: String, shape: [Int])] = [("embed.weight", [5, 4])]

    var base: CheckpointInventory { checkpoint(location: "models/base", file: 0) }

    /// A checkpoint of the model's shapes; `file` is its position in the inventory's files.
    func checkpoint(location: String, file: Int) -> CheckpointInventory {
        var tensors = layers.flatMap { layer in
            [("\(layer.name).weight", [layer.outputs, layer.inputs])]
                + (layer.hasBias ? [("\(layer.name).bias", [layer.outputs])] : [])
        }
        tensors += parameters.map { ($0.name, [$0.count]) } + others.map { ($0.name, $0.shape) }
        return .of(tensors, location: location, file: file)
    }

    /// Captures in one F32 file.
    func captures(file: Int) -> CaptureInventory {
        let rows = samples * positions
        let captured = layers.map { layer in
            (
                LayerName(rawValue: layer.name),
                CaptureInventory.Layer(
                    input: .of("\(layer.name).input", rows: rows, columns: layer.inputs, file: file),
                    outputGradient: .of(
                        "\(layer.name).output_grad",
                        rows: rows * probes,
                        columns: layer.outputs,
                        file: file
                    ),
                    samples: samples,
                    positions: positions
                )
            )
        }
        let gradients = parameters.map { parameter in
            (
                ParameterName(rawValue: parameter.name),
                CaptureInventory.Parameter(
                    gradient: .of(
                        "\(parameter.name).grad",
                        rows: samples * probes,
                        columns: parameter.count,
                        file: file
                    ),
                    samples: samples
                )
            )
        }
        return CaptureInventory(
            probes: probes,
            layers: Dictionary(uniqueKeysWithValues: captured),
            parameters: Dictionary(uniqueKeysWithValues: gradients)
        )
    }

    /// A finished factor set in one file.
    func factorSet(normalization: FactorNormalization = .tak, file: Int) -> FactorSetInventory {
        var factors: [FactorName: FactorSetInventory.Factor] = [:]
        func add(_ owner: String, _ side: FactorSide, _ dimension: Int) {
            factors[FactorName(owner: owner, side: side)] = FactorSetInventory.Factor(
                shape: .full(dimension),
                elementType: .f32,
                isPacked: false,
                slice: FileSlice(file: file, offset: 0, byteCount: UInt64(4 * dimension * dimension))
            )
        }
        for layer in layers {
            add(layer.name, .input, layer.inputs + (layer.hasBias ? 1 : 0))
            add(layer.name, .gradient, layer.outputs)
        }
        for parameter in parameters { add(parameter.name, .full, parameter.count) }
        return FactorSetInventory(normalization: normalization, samples: samples, factors: factors)
    }

    /// The inventory of a job: every file that a task's entry names exists, in the model's shapes.
    func inventory(for spec: JobSpec) -> JobInventory {
        var inventory = JobInventory(files: [.of("/base.safetensors", role: "base")], base: base)
        func next(_ task: TaskSpec, _ what: String) -> Int {
            inventory.files.append(.of("/\(task.name)/\(what).safetensors", role: "\(what) of \"\(task.name)\""))
            return inventory.files.count - 1
        }
        for task in spec.tasks {
            if let model = task.model {
                inventory.checkpoints[task.name] = checkpoint(
                    location: model.value,
                    file: next(task, "checkpoint")
                )
            }
            if !task.captures.isEmpty { inventory.captures[task.name] = captures(file: next(task, "capture")) }
            if !task.factors.isEmpty { inventory.factorSets[task.name] = factorSet(file: next(task, "factors")) }
        }
        return inventory
    }
}

extension CheckpointInventory {
    /// A checkpoint of one F32 file.
    static func of(_ tensors: [(String, [Int])], location: String = "models/base", file: Int = 0) -> Self {
        var offset: UInt64 = 8
        let inventories = tensors.map { name, shape in
            let byteCount = UInt64(4 * shape.reduce(1, *))
            defer { offset += byteCount }
            return TensorInventory(
                name: name,
                elementType: "F32",
                shape: shape,
                slice: FileSlice(file: file, offset: offset, byteCount: byteCount)
            )
        }
        return CheckpointInventory(
            location: location,
            shards: [Shard(name: "model.safetensors", metadata: ["format": "pt"], tensors: inventories)]
        )
    }

    /// The same with some tensors changed; a tensor is removed where `change` gives `nil`.
    func changing(_ change: (TensorInventory) -> TensorInventory?) -> CheckpointInventory {
        CheckpointInventory(
            location: location,
            shards: shards.map { shard in
                Shard(name: shard.name, metadata: shard.metadata, tensors: shard.tensors.compactMap(change))
            }
        )
    }

    /// The same with one tensor's shape or element type changed.
    func with(_ name: String, shape: [Int]? = nil, elementType: String? = nil) -> CheckpointInventory {
        changing { tensor in
            guard tensor.name == name else { return tensor }
            var changed = tensor
            changed.shape = shape ?? tensor.shape
            changed.elementType = elementType ?? tensor.elementType
            return changed
        }
    }

    /// The same without one tensor.
    func without(_ name: String) -> CheckpointInventory { changing { $0.name == name ? nil : $0 } }
}

extension CapturedRows {
    /// F32 rows in one file.
    static func of(_ tensor: String, rows: Int, columns: Int, file: Int) -> CapturedRows {
        let slice = FileSlice(file: file, offset: 100, byteCount: UInt64(4 * rows * columns))
        return CapturedRows(
            tensor: tensor,
            columns: columns,
            elementType: .f32,
            slices: [RowSlice(slice: slice, rows: rows)]
        )
    }
}

extension InputFile {
    /// A file whose header digest is all zeros.
    static func of(_ path: String, role: String) -> InputFile {
        guard let digest = BlobDigest(bytes: [UInt8](repeating: 0, count: BlobDigest.byteCount)) else {
            preconditionFailure("a digest has \(BlobDigest.byteCount) bytes")
        }
        return InputFile(path: path, byteCount: 1000, modificationTime: 1, headerDigest: digest, role: role)
    }
}
