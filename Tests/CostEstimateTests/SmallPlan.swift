import Identifiers
import JobPlan
import LinearAlgebra
import UnitOperations

/// A plan whose costs can be computed by hand: one layer with factors of dimension 4.
struct SmallPlan {
    var tasks = ["a"]
    var rows = 8
    var elementType = ElementType.f32
    var outputs = "factors"

    private static let dimension = 4

    /// Plans the job.
    ///
    /// - Throws: ``JobRefusal`` for impossible numbers.
    func plan() throws -> JobPlan {
        let models = tasks.map { "  - {name: \($0), captures: \($0).safetensors}\n" }.joined()
        let spec = try JobSpec(
            yaml: """
                merge_method: task_arithmetic
                base_model: base.safetensors
                models:
                \(models)outputs: [\(outputs)]
                output: out
                """, fileName: "job.yaml")
        let digest = BlobDigest(sha256: [UInt8](repeating: 0, count: BlobDigest.byteCount))
        let files = (["base"] + tasks).map {
            InputFile(path: "/\($0)", byteCount: 1, modificationTime: 0, headerDigest: digest, role: "input")
        }
        let layers = spec.tasks.enumerated().map { position, task in
            (task.name, CaptureInventory(probes: 1, layers: ["fc": layer(file: position + 1)], parameters: [:]))
        }
        return try JobPlan(
            spec: spec,
            inventory: JobInventory(files: files, base: base, captures: Dictionary(uniqueKeysWithValues: layers)))
    }

    private var base: CheckpointInventory {
        let tensor = TensorInventory(
            name: "fc.weight", elementType: "F32", shape: [Self.dimension, Self.dimension],
            slice: FileSlice(file: 0, offset: 0, byteCount: 64))
        return CheckpointInventory(
            location: "base.safetensors", shards: [.init(name: "base.safetensors", metadata: [:], tensors: [tensor])])
    }

    private func layer(file: Int) -> CaptureInventory.Layer {
        CaptureInventory.Layer(
            input: captured("fc.input", file: file, place: 0),
            outputGradient: captured("fc.output_grad", file: file, place: 1), samples: rows, positions: 1)
    }

    private func captured(_ tensor: String, file: Int, place: UInt64) -> CapturedRows {
        let byteCount = UInt64(rows * Self.dimension * elementType.byteCount)
        let slice = FileSlice(file: file, offset: place * byteCount, byteCount: byteCount)
        return CapturedRows(
            tensor: tensor, columns: Self.dimension, elementType: elementType,
            slices: [RowSlice(slice: slice, rows: rows)])
    }
}
