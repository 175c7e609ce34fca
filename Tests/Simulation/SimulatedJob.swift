import Identifiers
import JobPlan
import KroneckerFactors
import LinearAlgebra
import Scheduling
import TestSupport
import UnitOperations

/// A job small enough that thousands of clusters can run it, and what must come of it: found once, without a cluster,
/// by going through the plan.
struct SimulatedJob: Sendable {
    /// What a job is about.
    struct Shape: Hashable, Sendable {
        var tasks = 1
        var layers = 1
        var parts = 1
        var hasFullBlock = false
        var isMerged = false
        var targets = "all"
        var form = "accumulated"
        var outputs = ["factors"]
    }

    let shape: Shape
    let plan: JobPlan
    let specText: String
    /// What each unit gives; nothing but its operation and its inputs decides it.
    private(set) var results: [UnitResult] = []
    /// What each unit reads.
    private(set) var inputs: [SimulatedWorker.Inputs] = []
    /// What each unit computes, by a text of its operation, so that nothing rests on the keys of the plan.
    private(set) var contents: [UInt64] = []
    /// The outputs that files hold, by unit.
    let filed: [UnitIndex: Set<Int>]
    /// What lies in the output directory in the end.
    private(set) var files: [String: [BlobDigest]] = [:]

    /// Plans a job and goes through its units in their order.
    ///
    /// - Throws: ``JobRefusal`` for a shape that makes no job.
    init(_ shape: Shape) throws {
        self.shape = shape
        specText = Self.yaml(of: shape)
        let spec = try JobSpec(yaml: specText, fileName: "job.yaml")
        let limits = PlanLimits(
            chunkRows: shape.parts == 1 ? 24 : 6,
            partMultiplyAdds: shape.parts == 1 ? .infinity : 4 * 4 * 24 / Double(shape.parts))
        let plan = try JobPlan(spec: spec, inventory: SimulatedInputs.inventory(of: shape), limits: limits)
        self.plan = plan
        var filed: [UnitIndex: Set<Int>] = [:]
        for unit in plan.units where !unit.isForWorker {
            for output in plan.blobs(readBy: unit) { filed[output.unit, default: []].insert(output.position) }
        }
        self.filed = filed
        for unit in plan.units {
            let read = Self.inputs(of: unit, in: plan) { results[$0.position] }
            let content = Self.content(of: unit, in: plan, results)
            inputs.append(read)
            contents.append(content)
            results.append(Self.result(of: unit, content: content, read: read.blobs))
            if let path = Self.path(of: unit) {
                files[path] = Self.fileContent(of: unit, read: read.blobs, plan, results)
            }
        }
    }

    /// What a unit reads, as far as the results of other units are known.
    static func inputs(
        of unit: WorkUnit, in plan: JobPlan, _ result: (UnitIndex) -> UnitResult?
    ) -> SimulatedWorker.Inputs {
        SimulatedWorker.Inputs(
            blobs: plan.blobs(readBy: unit).compactMap { result($0.unit)?.blob(at: $0.position)?.digest },
            numbers: unit.inputNumbers.compactMap { result($0.unit)?.measurements[$0.name] })
    }

    /// What a unit computes from inputs: the plan's content, unless another regime made an input.
    func content(of unit: UnitIndex, from inputs: SimulatedWorker.Inputs) -> UInt64 {
        if inputs == self.inputs[unit.position] { return contents[unit.position] }
        return Fingerprint.of("\(contents[unit.position]) \(inputs.blobs) \(inputs.numbers)")
    }

    /// The result that a worker comes to from its inputs, in its regime; the plan's results are of the unnamed one.
    func result(of unit: UnitIndex, from inputs: SimulatedWorker.Inputs, in regime: NumericRegime) -> UnitResult {
        let content = content(of: unit, from: inputs)
        let rounded = regime == .unnamed ? content : Fingerprint.of("\(content) in \(regime)")
        return Self.result(of: plan.units[unit.position], content: rounded, read: inputs.blobs)
    }

    // MARK: - What units give

    private static func content(of unit: WorkUnit, in plan: JobPlan, _ results: [UnitResult]) -> UInt64 {
        switch unit.work {
        case .coordinator(let operation): return Fingerprint.of("\(operation)")
        case .worker(let operation):
            let blobs = unit.inputs.map { results[$0.unit.position].blobs[$0.position].digest }
            return Fingerprint.of("\(operation) \(blobs)")
        }
    }

    private static func result(of unit: WorkUnit, content: UInt64, read: [BlobDigest]) -> UnitResult {
        var result = UnitResult()
        for position in 0..<unit.blobCount {
            result.blobs.append(
                BlobReference(digest: Fingerprint.digest(content, position), byteCount: 8 + content % 1000))
        }
        guard unit.isForWorker else { return result }
        // Numbers cross the journal too; one that is not known is told from all others by its bits.
        result.measurements[.trace] = [Double(content % 1000) / 7, content % 5 == 0 ? .nan : 1]
        // All results differ in some number, also of units without blobs.
        result.measurements[.penalties] = [Double(content >> 12)]
        // Inner products depend only on the factors, not on the targets.
        result.measurements[.innerProducts] = [Double(Fingerprint.of("\(read)") % 1000)]
        return result
    }

    // MARK: - Files

    /// Where a unit of the coordinator's puts its file.
    static func path(of unit: WorkUnit) -> String? {
        switch unit.work {
        case .coordinator(.assembleFactors(let task)): "factors/\(task)"
        case .coordinator(.assembleRegularizer(let target)): "regularizer/\(target)"
        case .coordinator(.assembleInverses(let target)): "inverses/\(target)"
        case .coordinator(.mergeCheckpoint): "merged"
        case .coordinator(.writeReport): "report.json"
        case .coordinator(.digestInputs), .coordinator(.publish), .worker: nil
        }
    }

    /// What a file holds: the blobs that it is made of, and for the report what was measured.
    static func fileContent(
        of unit: WorkUnit, read: [BlobDigest], _ plan: JobPlan, _ results: [UnitResult]
    ) -> [BlobDigest] {
        guard case .coordinator(.writeReport) = unit.work else { return read }
        return plan.units[..<unit.index.position].map { reportLine(of: results[$0.index.position]) }
    }

    /// What the report says of a result.
    static func reportLine(of result: UnitResult) -> BlobDigest {
        let numbers = (result.measurements[.trace] ?? []) + (result.measurements[.penalties] ?? [])
        return Fingerprint.digest(numbers.reduce(0) { $0 &* 31 &+ $1.bitPattern }, 0)
    }

    // MARK: - Shapes

    private static func yaml(of shape: Shape) -> String {
        let models = SimulatedInputs.tasks(of: shape).map { task in
            let model = shape.isMerged ? ", model: \(task)" : ""
            return "  - {name: \(task), captures: \(task).safetensors\(model)}\n"
        }
        return """
            merge_method: \(shape.isMerged ? "kfac" : "task_arithmetic")
            base_model: base.safetensors
            models:
            \(models.joined())kfac:
              regularizer: {form: \(shape.form), targets: \(shape.targets)}
            outputs: [\(shape.outputs.joined(separator: ", "))]
            output: out
            """
    }

    /// The jobs that simulations draw from; the one behind each is the same with a task more, where it has room.
    static let all: [SimulatedJob] = {
        var jobs: [SimulatedJob] = []
        var random = SplitMix64(seed: 4)
        while jobs.count < 40 {
            // Some have so many layers that small stores do not hold what is computed before it is read.
            let shape = jobs.count < 36 ? randomShape(&random) : wideShape(&random)
            var larger = shape
            larger.tasks = min(4, shape.tasks + 1)
            guard let job = try? SimulatedJob(shape), let next = try? SimulatedJob(larger) else { continue }
            jobs += [job, next]
        }
        return jobs
    }()

    private static func wideShape(_ random: inout SplitMix64) -> Shape {
        var shape = Shape()
        shape.tasks = Int.random(in: 2...3, using: &random)
        shape.layers = 7
        shape.targets = "all"
        shape.outputs = ["regularizer"]
        return shape
    }

    private static func randomShape(_ random: inout SplitMix64) -> Shape {
        var shape = Shape()
        shape.tasks = Int.random(in: 1...4, using: &random)
        shape.layers = shape.tasks < 3 ? Int.random(in: 1...2, using: &random) : 1
        shape.parts = [1, 1, 2].randomElement(using: &random) ?? 1
        shape.hasFullBlock = Bool.random(using: &random) && shape.tasks < 4
        shape.isMerged = Int.random(in: 0..<3, using: &random) == 0
        shape.targets = shape.tasks > 1 && Bool.random(using: &random) ? "leave_one_out" : "all"
        shape.form = ["accumulated", "accumulated", "optimal", "per_task"].randomElement(using: &random) ?? ""
        var outputs = ["factors", "regularizer", "inverses", "report"].filter { _ in Bool.random(using: &random) }
        if shape.isMerged { outputs.append("merged") }
        if outputs.isEmpty { outputs = ["factors"] }
        shape.outputs = outputs
        return shape
    }
}

/// The files that all simulated jobs read: equal names are equal files, so that jobs share what is computed from them.
enum SimulatedInputs {
    /// The shape's tasks.
    static func tasks(of shape: SimulatedJob.Shape) -> [TaskName] {
        ["a", "b", "c", "d"].prefix(shape.tasks).map { $0 }
    }

    /// What the files hold.
    static func inventory(of shape: SimulatedJob.Shape) -> JobInventory {
        let tasks = tasks(of: shape)
        var inventory = JobInventory(files: files, base: checkpoint(shape, file: 0))
        for (position, task) in tasks.enumerated() {
            inventory.captures[task] = captures(shape, file: 1 + 2 * position)
            if shape.isMerged { inventory.checkpoints[task] = checkpoint(shape, file: 2 + 2 * position) }
        }
        return inventory
    }

    private static let files = (0..<9).map { position in
        InputFile(
            path: "/inputs/\(position)", byteCount: 4096, modificationTime: 7,
            headerDigest: Fingerprint.digest(UInt64(position), 0), role: "input")
    }

    private static func checkpoint(_ shape: SimulatedJob.Shape, file: Int) -> CheckpointInventory {
        var tensors = (0..<shape.layers).map { layer in
            TensorInventory(
                name: "fc\(layer).weight", elementType: "F32", shape: [4, 4],
                slice: FileSlice(file: file, offset: UInt64(64 * layer), byteCount: 64))
        }
        let slice = FileSlice(file: file, offset: 1024, byteCount: 12)
        tensors.append(TensorInventory(name: "norm.weight", elementType: "F32", shape: [3], slice: slice))
        return CheckpointInventory(
            location: "/inputs/\(file)", shards: [.init(name: "model.safetensors", metadata: [:], tensors: tensors)])
    }

    private static func captures(_ shape: SimulatedJob.Shape, file: Int) -> CaptureInventory {
        var layers: [LayerName: CaptureInventory.Layer] = [:]
        for layer in 0..<shape.layers {
            layers[LayerName(rawValue: "fc\(layer)")] = CaptureInventory.Layer(
                input: rows("fc\(layer).input", 4, file: file, place: 2 * layer),
                outputGradient: rows("fc\(layer).output_grad", 4, file: file, place: 2 * layer + 1), samples: 24,
                positions: 1)
        }
        let parameter = CaptureInventory.Parameter(
            gradient: rows("norm.weight.grad", 3, file: file, place: 4), samples: 24)
        return CaptureInventory(
            probes: 1, layers: layers, parameters: shape.hasFullBlock ? ["norm.weight": parameter] : [:])
    }

    private static func rows(_ tensor: String, _ columns: Int, file: Int, place: Int) -> CapturedRows {
        let slice = FileSlice(file: file, offset: UInt64(384 * place), byteCount: UInt64(4 * columns * 24))
        return CapturedRows(
            tensor: tensor, columns: columns, elementType: .f32, slices: [RowSlice(slice: slice, rows: 24)])
    }
}

/// Hashes that are the same in every process.
enum Fingerprint {
    /// FNV-1a of a text.
    static func of(_ text: String) -> UInt64 {
        var text = text
        return text.withUTF8 { bytes in
            var hash: UInt64 = 0xcbf2_9ce4_8422_2325
            for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
            return hash
        }
    }

    /// A digest that stands for the bytes of a unit's output.
    static func digest(_ content: UInt64, _ position: Int) -> BlobDigest {
        var random = SplitMix64(seed: content &+ UInt64(position) &* 0x9E37_79B9)
        let words = (0..<4).map { _ in random.next() }
        return BlobDigest(sha256: words.flatMap { word in (0..<8).map { UInt8(truncatingIfNeeded: word >> (8 * $0)) } })
    }
}
