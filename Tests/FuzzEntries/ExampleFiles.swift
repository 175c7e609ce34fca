import Identifiers
import JobPlan
import KroneckerFactors
import LinearAlgebra
import Scheduling
import UnitOperations

/// The files of a small model, used for every path of a job file, and a job that was accepted earlier.
enum ExampleFiles {
    private static let layers: [(name: String, outputs: Int, inputs: Int)] = [
        ("blocks.0.fc", 3, 4), ("blocks.1.fc", 2, 3),
    ]
    private static let norm = (name: "norm.weight", count: 4)
    private static let samples = 10
    private static let probes = 2

    /// The files of a job: everything that a task names exists, in the model's shapes.
    static func inventory(for spec: JobSpec) -> JobInventory {
        var inventory = JobInventory(files: [inputFile("/base")], base: checkpoint(file: 0))
        func next(_ task: TaskSpec) -> Int {
            inventory.files.append(inputFile("/\(task.name)"))
            return inventory.files.count - 1
        }
        for task in spec.tasks {
            if task.model != nil { inventory.checkpoints[task.name] = checkpoint(file: next(task)) }
            if !task.captures.isEmpty { inventory.captures[task.name] = captures(file: next(task)) }
            if !task.factors.isEmpty { inventory.factorSets[task.name] = factorSet(file: next(task)) }
        }
        return inventory
    }

    private static func inputFile(_ path: String) -> InputFile {
        InputFile(path: path, byteCount: 1000, modificationTime: 1, headerDigest: digest, role: "example")
    }

    private static var digest: BlobDigest {
        BlobDigest(sha256: [UInt8](repeating: 7, count: BlobDigest.byteCount))
    }

    private static func checkpoint(file: Int) -> CheckpointInventory {
        let shapes = layers.map { ("\($0.name).weight", [$0.outputs, $0.inputs]) } + [(norm.name, [norm.count])]
        let tensors = shapes.map { name, shape in
            let slice = FileSlice(file: file, offset: 8, byteCount: UInt64(4 * shape.reduce(1, *)))
            return TensorInventory(name: name, elementType: "F32", shape: shape, slice: slice)
        }
        let shard = CheckpointInventory.Shard(name: "model.safetensors", metadata: [:], tensors: tensors)
        return CheckpointInventory(location: "model", shards: [shard])
    }

    private static func captures(file: Int) -> CaptureInventory {
        func rows(_ tensor: String, _ rows: Int, _ columns: Int) -> CapturedRows {
            let slice = FileSlice(file: file, offset: 8, byteCount: UInt64(4 * rows * columns))
            return CapturedRows(
                tensor: tensor, columns: columns, elementType: .f32, slices: [RowSlice(slice: slice, rows: rows)])
        }
        var captured: [LayerName: CaptureInventory.Layer] = [:]
        for layer in layers {
            captured[LayerName(rawValue: layer.name)] = CaptureInventory.Layer(
                input: rows("\(layer.name).input", samples, layer.inputs),
                outputGradient: rows("\(layer.name).output_grad", samples * probes, layer.outputs),
                samples: samples, positions: 1)
        }
        let gradient = rows("\(norm.name).grad", samples * probes, norm.count)
        return CaptureInventory(
            probes: probes, layers: captured,
            parameters: [ParameterName(rawValue: norm.name): .init(gradient: gradient, samples: samples)])
    }

    private static func factorSet(file: Int) -> FactorSetInventory {
        var factors: [FactorName: FactorSetInventory.Factor] = [:]
        func add(_ owner: String, _ side: FactorSide, _ dimension: Int) {
            factors[FactorName(owner: owner, side: side)] = .init(
                shape: .full(dimension), elementType: .f32, isPacked: false,
                slice: FileSlice(file: file, offset: 8, byteCount: UInt64(4 * dimension * dimension)))
        }
        for layer in layers {
            add(layer.name, .input, layer.inputs)
            add(layer.name, .gradient, layer.outputs)
        }
        add(norm.name, .full, norm.count)
        return FactorSetInventory(normalization: .tak, samples: samples, factors: factors)
    }

    // MARK: - A job of the journal

    static let now = SchedulerInstant(sinceStart: .seconds(1))
    static let worker = WorkerCapacity(lanes: 1, memoryBytes: 1 << 30)

    /// The header of job `job-1`.
    static let header = JobHeader(
        id: "job-1", fingerprint: digest,
        specText: """
            merge_method: task_arithmetic
            base_model: base
            models:
              - {name: a, model: a, captures: a}
              - {name: b, model: b, captures: b}
            outputs: [merged, factors, regularizer, inverses, report]
            output: out
            """, specPath: "/job.yaml", overwrites: false, submittedAt: 0)

    /// Its plan.
    static let plan: JobPlan? = {
        guard let spec = try? JobSpec(yaml: header.specText, fileName: "job.yaml") else { return nil }
        return try? JobPlan(spec: spec, inventory: inventory(for: spec))
    }()
}
