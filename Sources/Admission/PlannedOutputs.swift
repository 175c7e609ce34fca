import FileAccess
import Identifiers
import JobFiles
import JobPlan
import LinearAlgebra
import Safetensors
import UnitOperations

/// The files that a job will publish, with their approximate sizes.
///
/// They are known before the work, so that a place that cannot hold them is refused early.
enum PlannedOutputs {
    /// The files of a plan; headers, copied files and the report are not counted.
    static func files(of plan: JobPlan, base: SafetensorsSet) -> [PlannedFile] {
        let curvature = plan.spec.curvature
        func matrices(_ blocks: [CurvatureBlock]) -> UInt64 {
            blocks.flatMap(\.factors).reduce(0) { sum, factor in
                sum.saturatingSum(
                    curvature.storesPackedTriangles ? factor.shape.storedBytes : factor.shape.fullBytes)
            }
        }
        var files: [PlannedFile] = []
        let outputs = plan.spec.outputs
        let exactBytes = matrices(plan.blocks)
        let bytes = curvature.compression.map { compressedBytes(plan.blocks, as: $0.form) } ?? exactBytes
        if outputs.contains(.factors) {
            files += plan.spec.curvedTasks.map { task in
                file("factors", task.name.rawValue, bytes.saturatingSum(rowBytes(of: .task(task.name), plan)))
            }
        }
        if outputs.contains(.regularizer) {
            files += plan.targets.map { target in
                let tasks = plan.spec.curvedTasks.filter { target.includes($0.name) }.count
                let copies = UInt64(curvature.regularizer.termCount ?? tasks)
                return file(
                    "regularizer", target.description,
                    (bytes * copies).saturatingSum(rowBytes(of: .target(target), plan)))
            }
        }
        if outputs.contains(.inverses) {
            files += plan.targets.map { file("inverses", $0.description, exactBytes) }
        }
        if outputs.contains(.merged) { files += merged(plan, base) }
        return files + ["report.html", "report.json"].map { PlannedFile(path: $0, byteCount: 0) }
    }

    /// The bytes of joint rows in a file.
    private static func rowBytes(of owner: JointRowsOwner, _ plan: JobPlan) -> UInt64 {
        plan.jointTensors(of: owner).reduce(0) { $0.saturatingSum($1.byteCount) }
    }

    /// The bytes of the blocks' matrices in a compressed form; diagonals have none.
    private static func compressedBytes(_ blocks: [CurvatureBlock], as form: CompressedForm) -> UInt64 {
        blocks.flatMap(\.factors).reduce(0) { sum, factor in
            sum.saturatingSum(
                factor.shape.isDiagonal
                    ? factor.shape.storedBytes
                    : UInt64(clamping: form.byteCount(dimension: factor.shape.dimension)))
        }
    }

    private static func file(_ kind: String, _ name: String, _ byteCount: UInt64) -> PlannedFile {
        PlannedFile(path: "\(kind)/\(name)/\(kind).safetensors", byteCount: byteCount)
    }

    /// The adapter that stands for a merged checkpoint, with the largest ranks that it can have.
    private static func adapter(_ plan: JobPlan) -> [PlannedFile] {
        let export = AdapterExport(spec: plan.spec, inventory: plan.inventory)
        let size = UInt64((plan.spec.outputType ?? .f32).byteCount)
        let bytes = export.modules.reduce(UInt64(0)) { sum, module in
            let elements = UInt64(export.rankBound(of: module)).saturatingProduct(
                UInt64(module.inputs).saturatingSum(UInt64(module.outputs)))
            return sum.saturatingSum(elements.saturatingProduct(size))
        }
        let place = plan.spec.checkpoint.layout == .flat ? "" : "merged/"
        let names = AdapterWriter.fileNames + (place.isEmpty ? ModelCard.names(of: plan.spec) : [])
        return names.map {
            PlannedFile(path: place + $0, byteCount: $0 == AdapterConfiguration.tensorsName ? bytes : 0)
        }
    }

    /// The merged checkpoint in its base's layout.
    private static func merged(_ plan: JobPlan, _ base: SafetensorsSet) -> [PlannedFile] {
        let checkpoint = plan.spec.checkpoint
        guard checkpoint.adapterRank == nil else { return adapter(plan) }
        let type = plan.spec.outputType.flatMap { TensorDataType(rawValue: $0.rawValue) }
        let layout = CheckpointWriter.layout(
            of: base, dataType: type, shardSize: checkpoint.shardSize, heads: plan.inventory.base.heads)
        let isFlat = checkpoint.layout == .flat
        let shards = layout.shards.map { shard in
            PlannedFile(
                path: isFlat ? shard.fileName : "merged/\(shard.fileName)",
                byteCount: shard.tensors.reduce(UInt64(0)) { $0 + UInt64($1.byteCount ?? 0) })
        }
        guard isFlat else { return shards }
        // In the output directory itself these names may be taken.
        let others = CompanionFiles(besides: base, hasTokenizer: checkpoint.copiesTokenizer).copied
        return shards + (others + ModelCard.names(of: plan.spec)).map { PlannedFile(path: $0, byteCount: 0) }
    }
}
