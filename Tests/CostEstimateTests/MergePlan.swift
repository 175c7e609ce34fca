import Identifiers
import JobPlan
import LinearAlgebra
import UnitOperations

/// A plan that merges one model of one matrix.
struct MergePlan {
    /// Plans the job.
    ///
    /// - Throws: ``JobRefusal`` for impossible numbers.
    func plan() throws -> JobPlan {
        let spec = try JobSpec(
            yaml: """
                merge_method: task_arithmetic
                base_model: base.safetensors
                models:
                  - {name: a, model: a.safetensors}
                outputs: [merged]
                output: out
                """, fileName: "job.yaml")
        let digest = BlobDigest(sha256: [UInt8](repeating: 0, count: BlobDigest.byteCount))
        let files = ["base", "a"].map {
            InputFile(path: "/\($0)", byteCount: 64, modificationTime: 0, headerDigest: digest, role: "input")
        }
        return try JobPlan(
            spec: spec,
            inventory: JobInventory(files: files, base: checkpoint(file: 0), checkpoints: ["a": checkpoint(file: 1)]))
    }

    private func checkpoint(file: Int) -> CheckpointInventory {
        let tensor = TensorInventory(
            name: "fc.weight", elementType: "F32", shape: [4, 4],
            slice: FileSlice(file: file, offset: 0, byteCount: 64))
        return CheckpointInventory(
            location: "\(file)", shards: [.init(name: "model.safetensors", metadata: [:], tensors: [tensor])])
    }
}
