import Admission
import BlobStore
import Identifiers
import JobFiles
import JobPlan
import LinearAlgebra
import Publication
import Safetensors
import Scheduling
import SystemPackage
import UnitOperations

/// Writes the merged vector as an adapter: factors that workers made, or those of all models side by side.
///
/// Memory holds the factors of one module. Source: DESIGN section 2.5.
struct AdapterMerge: Sendable {
    let job: Job
    let store: BlobStore
    /// A finished unit's result.
    let result: @Sendable (UnitIndex) -> UnitResult?
    let provenance: String

    /// The factors that a unit made of a module's weight.
    private struct Made {
        let blobs: [BlobReference]
        /// The rank, and the squares of what the factors miss and of the vector.
        let numbers: [Double]
        /// Whether the unit read the weight transposed.
        let isTransposed: Bool
    }

    private var plan: JobPlan { job.plan }
    private var type: ElementType { plan.spec.outputType ?? .f32 }

    /// Writes the adapter into the staging directory.
    ///
    /// - Parameter onMerged: Called when every byte is written, and before any is durable.
    /// - Returns: The state of every tensor, and what the file held.
    /// - Throws: `CoordinatorWorkError.badInput` for a merge that changes nothing, `JobFileError`, `BlobStoreError`.
    func run(onMerged: () -> Void) throws -> CheckpointMerge.Outcome {
        let export = AdapterExport(spec: plan.spec, inventory: plan.inventory)
        let made = try made()
        let modules = try export.modules.compactMap { module -> (AdapterExport.Module, AdapterWriter.Module)? in
            let rank = try rank(of: module, made, export)
            guard rank > 0 else { return nil }
            return (
                module,
                AdapterWriter.Module(
                    name: module.name, rank: rank, inputs: module.inputs, outputs: module.outputs,
                    isEmbedding: module.isEmbedding)
            )
        }
        guard !modules.isEmpty else {
            throw CoordinatorWorkError.badInput(
                "the merged vector is zero in every module, so there is no adapter to write. Check the weights.")
        }
        let baseName = AdapterWriter.name(ofModelAt: plan.inventory.base.location)
        let writer = try AdapterWriter(
            directory: try job.output.stage("merged"), modules: modules.map(\.1),
            dataType: TensorDataType(rawValue: type.rawValue) ?? .float32, isFanInFanOut: export.isFanInFanOut,
            baseModel: baseName,
            texts: ModelCard(
                of: plan.spec, source: job.source, title: job.output.path.lastComponent?.string ?? "merge",
                adapterBase: baseName
            ).files, provenance: provenance)
        var numbers: [String: [Double]] = [:]
        for (module, written) in modules {
            if let made = made[module.tensor.name] {
                try copy(made, of: module, as: written, to: writer)
                numbers[module.tensor.name] = made.numbers
            } else {
                numbers[module.tensor.name] = try concatenate(module, as: written, export, to: writer)
            }
        }
        onMerged()
        try writer.finish()
        return CheckpointMerge.Outcome(result: try measurements(numbers, export), files: writer.finished)
    }

    // MARK: - What workers made

    private func made() throws -> [String: Made] {
        var made: [String: Made] = [:]
        for (region, output) in plan.mergedRegions {
            guard let result = result(output.unit), let numbers = result.measurements[.lowRank], numbers.count == 3,
                result.blobs.count == 2
            else { throw CoordinatorWorkError.missingResult("factors of \(region.tensor)") }
            made[region.tensor] = Made(
                blobs: result.blobs, numbers: numbers, isTransposed: region.layout == .inOut)
        }
        return made
    }

    private func rank(
        of module: AdapterExport.Module, _ made: [String: Made], _ export: AdapterExport
    ) throws -> Int {
        if export.isConcatenated(module), made[module.tensor.name] == nil {
            guard case .atMost? = plan.spec.checkpoint.adapterRank else { return export.exactRank(of: module) }
            return try concatenated(module, export).rank
        }
        guard let rank = made[module.tensor.name].flatMap({ Int(exactly: $0.numbers[0]) }) else {
            throw CoordinatorWorkError.missingResult("factors of \(module.tensor.name)")
        }
        return rank
    }

    /// Copies a unit's factors; those of a transposed vector change places.
    private func copy(
        _ made: Made, of module: AdapterExport.Module, as written: AdapterWriter.Module, to writer: AdapterWriter
    ) throws {
        let isTurned = module.isTransposed != made.isTransposed
        let names = isTurned ? [written.downName, written.upName] : [written.upName, written.downName]
        for (position, name) in names.enumerated() {
            var bytes = try bytes(of: made.blobs[position])
            if isTurned {
                // B is [outputs, rank], A is [rank, inputs], of the vector that the unit read.
                let rows = position == 0 ? module.inputs : written.rank
                bytes = transposed(bytes, rows: rows)
            }
            try writer.write(bytes.span.bytes, to: name)
        }
    }

    private func bytes(of blob: BlobReference) throws -> [UInt8] {
        let source = try store.blob(blob.digest, byteCount: Int(clamping: blob.byteCount))
        var bytes = [UInt8](repeating: 0, count: source.byteCount)
        do {
            var span = bytes.mutableSpan
            var target = span.mutableBytes
            try source.read(at: 0, into: &target)
        }
        try source.verify()
        return bytes
    }

    private func transposed(_ bytes: [UInt8], rows: Int) -> [UInt8] {
        let size = type.byteCount
        let columns = bytes.count / size / rows
        var turned: [UInt8] = []
        turned.reserveCapacity(bytes.count)
        for column in 0..<columns {
            for row in 0..<rows {
                let first = (row * columns + column) * size
                turned += bytes[first..<first + size]
            }
        }
        return turned
    }

    // MARK: - Factors side by side

    /// A = [A_1; …; A_T] and B = [c_1 B_1, …, c_T B_T] of a module, with c_t = α w_t s_t, or the leading triplets of
    /// their product.
    private func concatenated(_ module: AdapterExport.Module, _ export: AdapterExport) throws -> ConcatenatedFactors {
        var factors = try ConcatenatedFactors(
            inputs: module.inputs, outputs: module.outputs, rank: export.exactRank(of: module))
        for (_, own, factor) in export.terms(of: module.tensor) {
            guard let own = own.floatingType.map({ (own, $0) }), own.0.update != nil else { continue }
            let values = try TensorValues(own.0, own.1, files: job.inputs.files)
            guard let product = values.product else { continue }
            factors.add(product, times: factor, isTransposed: module.isTransposed)
        }
        guard case .atMost(let rank)? = plan.spec.checkpoint.adapterRank, factors.rank > 0 else { return factors }
        return try factors.leading(rank)
    }

    /// Writes the factors of a module that come from those of the models.
    ///
    /// - Returns: The rank, and the squares of what rounding loses and of the vector.
    private func concatenate(
        _ module: AdapterExport.Module, as written: AdapterWriter.Module, _ export: AdapterExport,
        to writer: AdapterWriter
    ) throws -> [Double] {
        let factors = try concatenated(module, export)
        let (up, down) = (try factors.up(in: type), try factors.down(in: type))
        for bytes in [up, down] where type.firstNonFinite(in: bytes.span.bytes) != nil {
            throw CoordinatorWorkError.badInput(
                "a factor of the merged vector of \"\(module.tensor.name)\" overflows \(type.rawValue); set \"dtype\" to "
                    + "float32.")
        }
        try writer.write(up.span.bytes, to: written.upName)
        try writer.write(down.span.bytes, to: written.downName)
        return [Double(written.rank)] + (try factors.squares(up: up, down: down, in: type))
    }

    // MARK: - The report

    private func measurements(_ numbers: [String: [Double]], _ export: AdapterExport) throws -> UnitResult {
        let copied = CopiedTensors(spec: plan.spec, base: plan.inventory.base)
        let kinds = plan.inventory.tensorKinds
        let comparison = TensorComparison(files: job.inputs.files)
        let modules = Dictionary(export.modules.map { ($0.tensor.name, $0) }) { $1 }
        var tensors = MergedTensors()
        var ranks: [Double] = []
        for (position, tensor) in plan.inventory.base.shards.flatMap(\.tensors).enumerated() {
            var isSummed = false
            if case .summed = kinds.kind(of: tensor) { isSummed = copied.reason(of: tensor.name) == nil }
            var state = MergedTensors.Tensor(state: isSummed ? .unchanged : .copied)
            if modules[tensor.name] != nil {
                for (task, own, _) in export.terms(of: tensor) where try comparison.differ(tensor, own) {
                    state.differing.insert(task)
                }
            }
            if let found = numbers[tensor.name] {
                state.state = .changed
                ranks += [Double(position)] + found
            }
            tensors.tensors.append(state)
        }
        var measured = tensors.measurements(taskCount: plan.spec.mergedTasks.count)
        measured[.lowRank] = ranks
        return UnitResult(measurements: measured)
    }
}
