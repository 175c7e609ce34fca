import Identifiers
import JobPlan
import Scheduling
import UnitOperations

/// A job of many equal layers, for the scheduler alone: its files do not exist.
struct LayeredJob {
    private static let tasks = (0..<8).map { "task-\($0)" }
    private static let dimension = 768
    private static let rowCount = 1 << 17
    let header: JobHeader
    let plan: JobPlan

    /// Plans a job of about so many units: the factors of eight tasks, their sums and the inverses of each layer.
    init(units: Int) throws {
        let yaml = """
            merge_method: task_arithmetic
            base_model: base.safetensors
            models:
            \(Self.tasks.map { "  - {name: \($0), captures: \($0).safetensors}" }.joined(separator: "\n"))
            outputs: [factors, regularizer, inverses]
            output: out
            """
        // The files of the coordinator are few, so units grow with the layers.
        let perLayer = try Self.plan(yaml, layers: 2).units.count - Self.plan(yaml, layers: 1).units.count
        plan = try Self.plan(yaml, layers: max(1, units / perLayer))
        header = JobHeader(
            id: "layered", fingerprint: .numbered(0, 0), specText: yaml, specPath: "/job.yaml", overwrites: false,
            submittedAt: 0, unitCount: plan.units.count)
    }

    private static func plan(_ yaml: String, layers: Int) throws -> JobPlan {
        let spec = try JobSpec(yaml: yaml, fileName: "job.yaml")
        let files = (["base"] + tasks).map {
            InputFile(
                path: "/\($0)", byteCount: 1, modificationTime: 0, headerDigest: .numbered(0, 1), role: "input")
        }
        var captures: [TaskName: CaptureInventory] = [:]
        for (position, task) in tasks.enumerated() {
            captures[TaskName(rawValue: task)] = CaptureInventory(
                probes: 1, layers: captured(layers, file: position + 1), parameters: [:])
        }
        let tensors = (0..<layers).map { layer in
            TensorInventory(
                name: "fc\(layer).weight", elementType: "F32", shape: [dimension, dimension],
                slice: FileSlice(file: 0, offset: 0, byteCount: UInt64(4 * dimension * dimension)))
        }
        let base = CheckpointInventory(
            location: "base.safetensors",
            shards: [.init(name: "base.safetensors", metadata: [:], tensors: tensors)])
        return try JobPlan(spec: spec, inventory: JobInventory(files: files, base: base, captures: captures))
    }

    private static func captured(_ layers: Int, file: Int) -> [LayerName: CaptureInventory.Layer] {
        func rows(_ tensor: String, place: Int) -> CapturedRows {
            let byteCount = UInt64(4 * dimension * rowCount)
            let slice = FileSlice(file: file, offset: UInt64(place) * byteCount, byteCount: byteCount)
            return CapturedRows(
                tensor: tensor, columns: dimension, elementType: .f32, slices: [RowSlice(slice: slice, rows: rowCount)])
        }
        return Dictionary(
            uniqueKeysWithValues: (0..<layers).map { layer in
                (
                    LayerName(rawValue: "fc\(layer)"),
                    CaptureInventory.Layer(
                        input: rows("fc\(layer).input", place: 2 * layer),
                        outputGradient: rows("fc\(layer).output_grad", place: 2 * layer + 1), samples: rowCount,
                        positions: 1)
                )
            })
    }
}

extension BlobDigest {
    /// A digest for each pair of numbers; nothing is hashed.
    static func numbered(_ first: Int, _ second: Int) -> BlobDigest {
        var bytes: [UInt8] = []
        for number in [first, second, 0, 0] {
            for shift in stride(from: 56, through: 0, by: -8) {
                bytes.append(UInt8(truncatingIfNeeded: number >> shift))
            }
        }
        return BlobDigest(sha256: bytes)
    }
}
