import Identifiers
import JobPlan
import LinearAlgebra
import Scheduling
import UnitOperations

/// A job with a plan that is small enough to read in a scenario.
///
/// One task and one layer give four units: 0 and 1, the factors A and B, for workers; 2, their file, and 3, the
/// publication, for the coordinator. All rows are F32, and both sides of a layer cost the same.
struct SmallJob {
    var id: JobID = "job-1"
    /// Tasks, named a, b, c….
    var tasks = 1
    /// Layers of the dimension, `fc0`, `fc1`….
    var layers = 1
    /// Parts of each factor.
    var parts = 1
    /// Rows and columns of every factor.
    var dimension = 4
    /// Rows of every capture; enough that a factor takes longer than its transfer.
    var rows = 1024
    /// The captures of the tasks; jobs with equal captures share what is computed from them.
    var captures: String?
    /// The job's outputs: `factors`, and for two or more tasks also `regularizer` and `inverses`.
    var outputs = ["factors"]

    /// The job's header.
    var header: JobHeader {
        JobHeader(
            id: id,
            fingerprint: .named(id.rawValue),
            specText: yaml,
            specPath: "/jobs/\(id).yaml",
            overwrites: false,
            submittedAt: 0
        )
    }

    /// The job's plan.
    ///
    /// - Throws: ``JobRefusal`` for impossible numbers.
    func plan() throws -> JobPlan {
        let spec = try JobSpec(yaml: yaml, fileName: "job.yaml")
        let multiplyAdds = Double(dimension * dimension * rows)
        // Chunks are half a part, so that parts are exact.
        let limits = PlanLimits(
            chunkRows: max(1, rows / parts / 2),
            partMultiplyAdds: parts == 1 ? .infinity : multiplyAdds / Double(parts)
        )
        return try JobPlan(spec: spec, inventory: inventory(of: spec.tasks.map(\.name)), limits: limits)
    }

    /// The key of a unit without inputs; the coordinator's units have none.
    ///
    /// - Throws: ``JobRefusal`` for impossible numbers.
    func key(of unit: UnitIndex) throws -> UnitKey? {
        let plan = try plan()
        return plan.key(of: plan.units[unit.position]) { _ in nil }
    }

    private var taskNames: [String] { (0..<tasks).map { String(UnicodeScalar(UInt8(ascii: "a") + UInt8($0))) } }

    private var yaml: String {
        let models = taskNames.map { "  - {name: \($0), captures: \($0).safetensors}\n" }.joined()
        return """
            merge_method: task_arithmetic
            base_model: base.safetensors
            models:
            \(models)outputs: [\(outputs.joined(separator: ", "))]
            output: out
            """
    }

    private func inventory(of tasks: [TaskName]) -> JobInventory {
        var captured: [TaskName: CaptureInventory] = [:]
        for (position, task) in tasks.enumerated() {
            captured[task] = CaptureInventory(probes: 1, layers: layers(inFile: position + 1), parameters: [:])
        }
        let files = ["base"] + tasks.map { "\(captures ?? id.rawValue)/\($0)" }
        return JobInventory(
            files: files.map {
                InputFile(path: "/\($0)", byteCount: 1, modificationTime: 0, headerDigest: .named($0), role: "input")
            },
            base: base, captures: captured)
    }

    private var base: CheckpointInventory {
        let tensors = (0..<layers).map { layer in
            TensorInventory(
                name: "fc\(layer).weight",
                elementType: "F32",
                shape: [dimension, dimension],
                slice: FileSlice(file: 0, offset: 0, byteCount: UInt64(4 * dimension * dimension))
            )
        }
        return CheckpointInventory(
            location: "base.safetensors",
            shards: [.init(name: "base.safetensors", metadata: [:], tensors: tensors)]
        )
    }

    private func layers(inFile file: Int) -> [LayerName: CaptureInventory.Layer] {
        var captured: [LayerName: CaptureInventory.Layer] = [:]
        for layer in 0..<layers {
            captured[LayerName(rawValue: "fc\(layer)")] = CaptureInventory.Layer(
                input: capturedRows("fc\(layer).input", file: file, place: 2 * layer),
                outputGradient: capturedRows("fc\(layer).output_grad", file: file, place: 2 * layer + 1),
                samples: rows,
                positions: 1
            )
        }
        return captured
    }

    private func capturedRows(_ tensor: String, file: Int, place: Int) -> CapturedRows {
        let byteCount = UInt64(4 * dimension * rows)
        let slice = FileSlice(file: file, offset: UInt64(place) * byteCount, byteCount: byteCount)
        return CapturedRows(
            tensor: tensor,
            columns: dimension,
            elementType: .f32,
            slices: [RowSlice(slice: slice, rows: rows)]
        )
    }
}

extension BlobDigest {
    /// A digest that contains a short text, so that a scenario can show it.
    static func named(_ text: String) -> BlobDigest {
        let bytes = Array(text.utf8.prefix(byteCount))
        guard let digest = BlobDigest(bytes: bytes + [UInt8](repeating: 0, count: byteCount - bytes.count)) else {
            preconditionFailure("a digest has \(byteCount) bytes")
        }
        return digest
    }

    /// The text in such a digest.
    var name: String { String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self) }
}

extension BlobReference {
    /// A blob identified by a name.
    static func named(_ text: String) -> BlobReference { BlobReference(digest: .named(text), byteCount: 1) }
}

extension UnitResult {
    /// A result identified by a name: its first blob has the name, the others have the name with a number.
    static func named(_ text: String, blobs: Int = 1) -> UnitResult {
        UnitResult(blobs: (0..<blobs).map { .named($0 == 0 ? text : "\(text).\($0)") })
    }
}

extension WorkerCapacity {
    /// The scenarios' default worker: one lane, 1 GiB.
    static let ordinary = WorkerCapacity(lanes: 1, memoryBytes: 1 << 30)
}

extension UnitTiming {
    /// One second, half of it in kernels.
    static let short = UnitTiming(elapsedSeconds: 1, kernelSeconds: 0.5)
}
