import Admission
import BlobStore
import Identifiers
import JSONText
import JobFiles
import JobPlan
import LinearAlgebra
import Publication
import Safetensors
import Scheduling
import SystemPackage
import TaskArithmetic
import UnitOperations

/// Writes the merged checkpoint in the base's layout, range by range; its memory does not depend on the model's size.
///
/// Source: DESIGN section 2.5 and 2.6.
struct CheckpointMerge: Sendable {
    let job: Job
    let store: BlobStore
    /// A finished unit's result.
    let result: @Sendable (UnitIndex) -> UnitResult?

    /// A merged checkpoint.
    struct Outcome {
        /// The state of every tensor.
        let result: UnitResult
        /// What the files of tensors held when they were finished.
        let files: [SafetensorsWriter.Finished]
    }

    private var plan: JobPlan { job.plan }
    private var comparison: TensorComparison { TensorComparison(files: job.inputs.files) }

    /// Merges every tensor and publishes the checkpoint into the staging directory.
    ///
    /// - Parameter onMerged: Called when every byte is written, and before any is durable.
    /// - Returns: The state of every tensor, and what the files held.
    /// - Throws: `CoordinatorWorkError.badInput` for tensors that cannot be merged, `JobFileError`, `SafetensorsError`,
    ///   `TaskArithmeticError`. No checkpoint exists then.
    func run(onMerged: () -> Void = {}) throws -> Outcome {
        guard plan.spec.checkpoint.adapterRank == nil else {
            return try AdapterMerge(job: job, store: store, result: result, provenance: provenance).run(
                onMerged: onMerged)
        }
        let outputType = plan.spec.outputType.flatMap { TensorDataType(rawValue: $0.rawValue) }
        let writer = try CheckpointWriter(
            directory: try job.output.stage("merged"), base: job.inputs.base, dataType: outputType,
            shardSize: plan.spec.checkpoint.shardSize, heads: plan.inventory.base.heads,
            hasTokenizer: plan.spec.checkpoint.copiesTokenizer,
            texts: ModelCard(
                of: plan.spec, source: job.source, title: job.output.path.lastComponent?.string ?? "merge"
            ).files, provenance: provenance)
        let merged = mergedParts()
        let settings = MergeSettings(spec: plan.spec, base: plan.inventory.base)
        let shares = TaskShares(spec: plan.spec, inventory: plan.inventory)
        let kinds = plan.inventory.tensorKinds
        let copied = CopiedTensors(spec: plan.spec, base: plan.inventory.base)
        let measured = Dictionary(grouping: plan.measuredRegions, by: \.region.tensor)
        let coverage = RegionCoverage(plan.mergedRegions.map(\.region))
        var tensors = MergedTensors()
        for tensor in plan.inventory.base.shards.flatMap(\.tensors) {
            let kind = kinds.kind(of: tensor)
            // The rows that only the base has.
            if let tail = plan.inventory.base.tails[tensor.name] {
                try copyValues(of: tail, to: writer, from: tensor.elementCount)
            }
            if kind != .encoded, copied.reason(of: tensor.name) != nil {
                tensors.tensors.append(try copy(tensor, isWeight: false, writer, settings))
            } else if let parts = merged[tensor.name] {
                var state = try copy(parts, to: tensor, writer, settings)
                let rest = coverage.rest(of: tensor)
                if !rest.isEmpty, case .summed(let type) = kind {
                    let operands = try operands(of: tensor, type, settings, shares)
                    state.join(try TensorMerge(job: job, operands: operands, elements: rest).run(writer))
                }
                tensors.tensors.append(state)
            } else if case .summed(let type) = kind, let parts = measured[tensor.name] {
                var state = MergedTensors.Tensor(state: .unchanged)
                for part in parts {
                    let operands = try operands(of: tensor, type, settings, shares, measured: part)
                    state.join(
                        try TensorMerge(job: job, operands: operands, elements: [part.region.elements]).run(writer))
                }
                tensors.tensors.append(state)
            } else if case .summed(let type) = kind {
                let operands = try operands(of: tensor, type, settings, shares)
                let merge = TensorMerge(job: job, operands: operands, elements: [ElementRuns(0..<tensor.elementCount)])
                tensors.tensors.append(try merge.run(writer))
            } else {
                let isWeight = kind == .encoded && copied.reason(of: tensor.name) != .ignored
                tensors.tensors.append(try copy(tensor, isWeight: isWeight, writer, settings))
            }
        }
        onMerged()
        try writer.finish()
        return Outcome(
            result: UnitResult(measurements: tensors.measurements(taskCount: plan.spec.mergedTasks.count)),
            files: writer.finished)
    }

    /// The origin of the checkpoint: the job without its paths, which differ between machines.
    private var provenance: String {
        var members: [JSONValue.Member] = [
            .init("method", .string(plan.spec.method.name)),
            .init("tasks", .array(plan.spec.mergedTasks.map { .string($0.name.rawValue) })),
            .init("format", .string(FormatVersion.checkpoint.description)),
        ]
        if plan.spec.mergesWithFactors { members.append(.init("damping", plan.spec.curvature.damping.description)) }
        return JSONValue.object(members).text()
    }

    /// A part of a tensor that a worker merged.
    private struct MergedPart {
        let region: ParameterRegion
        let blob: BlobReference
    }

    /// The parts that workers merged, by tensor.
    private func mergedParts() -> [String: [MergedPart]] {
        let parts = plan.mergedRegions.compactMap { region, output in
            result(output.unit)?.blob(at: output.position).map { MergedPart(region: region, blob: $0) }
        }
        return Dictionary(grouping: parts, by: \.region.tensor)
    }

    /// The models that take part in a tensor; a model of weight 0 is not read, so its values do not matter.
    private func participants(
        in tensor: TensorInventory, _ settings: MergeSettings
    ) -> [(position: Int, task: TaskSpec, own: TensorInventory, weight: Double)] {
        plan.spec.mergedTasks.enumerated().compactMap { position, task in
            let weight = settings.weight(of: task, tensor: tensor.name)
            guard weight != 0, let own = plan.inventory.checkpoints[task.name]?.tensors[tensor.name] else { return nil }
            return (position, task, own, weight)
        }
    }

    /// The operands of a tensor, or of a part of it that workers measured.
    private func operands(
        of tensor: TensorInventory, _ type: ElementType, _ settings: MergeSettings, _ shares: TaskShares,
        measured part: JobPlan.MeasuredRegion? = nil
    ) throws -> TensorMerge.Operands {
        let participants = participants(in: tensor, settings)
        let names = participants.map(\.task.name)
        let method = plan.spec.method
        let files = job.inputs.files
        let measured = part.flatMap { _ in method.scope.measured(settings.arguments(tensor: tensor.name)) }
        let numbers = [part?.numbers].compactMap { $0 }
        return TensorMerge.Operands(
            computation: measured?.computation ?? method.scope.elementwise,
            firstElement: part?.region.elements.lowerBound ?? 0, base: try TensorValues(tensor, type, files: files),
            models: try participants.compactMap { position, task, own, weight in
                try own.floatingType.map {
                    let share = shares.share(of: task.name, among: names)
                    return TensorMerge.Operands.Model(
                        position: position, values: try TensorValues(own, $0, files: files),
                        merged: MergedModel(
                            place: position + 1, weight: share * weight, lambda: share,
                            arguments: settings.arguments(of: task, tensor: tensor.name),
                            randomStream: settings.randomStream(
                                of: task, tensor: tensor.name, part: part?.name ?? tensor.name)))
                }
            },
            outputType: plan.spec.outputType ?? type, scale: settings.scale(tensor: tensor.name),
            startsAtBase: method.terms == .taskVectors, isBaseGiven: plan.spec.isBaseGiven,
            baseModel: baseModel(of: tensor, settings, isMeasured: part != nil),
            isBaseOrigin: plan.spec.isBaseOrigin,
            divides: settings.divides(tensor: tensor.name), arguments: settings.arguments(tensor: tensor.name),
            statistics: (plan.statistics + numbers).compactMap { result($0.unit)?.measurements[$0.name] },
            needsDouble: method.needsFactors)
    }

    /// The base as a model; what was measured has no base that neither has weight nor is the origin.
    private func baseModel(
        of tensor: TensorInventory, _ settings: MergeSettings, isMeasured: Bool
    ) -> MergedModel? {
        guard let weight = settings.baseWeight(tensor: tensor.name),
            weight != 0 || plan.spec.isBaseOrigin || !isMeasured
        else { return nil }
        return MergedModel(
            place: 0, weight: weight, arguments: settings.arguments(of: plan.spec.listedBase, tensor: tensor.name))
    }

    // MARK: - Copying

    /// Copies the base's tensor, after a check of the models' tensors of that name.
    private func copy(
        _ tensor: TensorInventory, isWeight: Bool, _ writer: CheckpointWriter, _ settings: MergeSettings
    ) throws -> MergedTensors.Tensor {
        var state = MergedTensors.Tensor(state: .copied)
        for (position, task, own, _) in participants(in: tensor, settings)
        where try comparison.differ(tensor, own) {
            guard !isWeight else {
                let location = plan.inventory.checkpoints[task.name]?.location ?? ""
                throw CoordinatorWorkError.badInput(
                    "\(location): \(EncodedWeights.message([tensor], task: task.name))")
            }
            state.differing.insert(position)
        }
        try copyValues(of: tensor, to: writer, from: 0)
        return state
    }

    /// Copies values of the base in the checkpoint's type, to the elements of the tensor from a first one on.
    private func copyValues(of tensor: TensorInventory, to writer: CheckpointWriter, from element: Int) throws {
        if let type = tensor.floatingType, let outputType = plan.spec.outputType, outputType != type {
            let conversion = TensorConversion(job: job, tensor: tensor, type: type, outputType: outputType)
            return try conversion.run(writer, from: element)
        }
        let start = element * (tensor.floatingType?.byteCount ?? 0)
        try copy(byteCount: Int(tensor.slice.byteCount)) { offset, target throws in
            try job.inputs.files[tensor.slice.file].read(
                fromFileOffset: Int(tensor.slice.offset) + offset, into: &target)
        } write: { offset, bytes throws in
            try writer.write(bytes, to: tensor.name, at: start + offset)
        }
    }

    /// Copies the parts of a tensor that workers merged.
    private func copy(
        _ parts: [MergedPart], to tensor: TensorInventory, _ writer: CheckpointWriter, _ settings: MergeSettings
    ) throws -> MergedTensors.Tensor {
        let startsAtBase = plan.spec.method.terms == .taskVectors
        var state = MergedTensors.Tensor(state: .unchanged)
        for (position, _, own, _) in participants(in: tensor, settings) where try comparison.differ(tensor, own) {
            state.differing.insert(position)
        }
        let elementBytes = (plan.spec.outputType ?? tensor.floatingType)?.byteCount ?? 1
        /// Writes a piece of a part, and compares it with the base.
        func write(_ piece: RawSpan, at start: Int) throws {
            try writer.write(piece, to: tensor.name, at: start)
            // Without differences there is no vector that could change the base.
            guard state.state == .unchanged, !(startsAtBase && state.differing.isEmpty) else { return }
            if try differs(piece, at: start, from: tensor) { state.state = .changed }
        }
        for group in ElementRuns.groups(of: parts.map(\.region.elements)) {
            // The blobs are hashed during the copy. If their last ranges show damage, nothing is published.
            let sources = try group.members.map { member in
                let blob = parts[member].blob
                return try store.blob(blob.digest, byteCount: Int(clamping: blob.byteCount))
            }
            if sources.count > 1 {
                let runs = group.members.map { parts[$0].region.elements }
                try interleave(sources, runs, elementBytes: elementBytes, write: write)
            } else {
                try copy(byteCount: sources[0].byteCount) { offset, target throws in
                    try sources[0].read(at: offset, into: &target)
                } write: { offset, bytes throws in
                    let elements = offset / elementBytes..<(offset + bytes.byteCount) / elementBytes
                    var next = 0
                    for positions in group.elements.positions(of: elements) {
                        let count = positions.count * elementBytes
                        try write(bytes.extracting(next..<next + count), at: positions.lowerBound * elementBytes)
                        next += count
                    }
                }
            }
            for source in sources { try source.verify() }
        }
        return state
    }

    /// Writes blobs whose elements take turns in a tensor: the even and the odd columns of a matrix.
    ///
    /// One write takes many turns, because short runs can be single elements.
    private func interleave(
        _ sources: [VerifiedBlob], _ runs: [ElementRuns], elementBytes: Int, write: (RawSpan, Int) throws -> Void
    ) throws {
        let first = runs[0]
        let turnBytes = first.distance * elementBytes
        let most = max(1, (1 << 20) / turnBytes)
        var output = [UInt8](repeating: 0, count: min(most, first.count) * turnBytes)
        var own: [UInt8] = []
        for turn in stride(from: 0, to: first.count, by: most) {
            let turns = min(most, first.count - turn)
            var start = 0
            for (source, run) in zip(sources, runs) {
                let length = run.length * elementBytes
                own = [UInt8](repeating: 0, count: turns * length)
                do {
                    var span = own.mutableSpan
                    var target = span.mutableBytes
                    try source.read(at: turn * length, into: &target)
                }
                for index in 0..<turns {
                    for byte in 0..<length { output[index * turnBytes + start + byte] = own[index * length + byte] }
                }
                start += length
            }
            try write(
                output.span.bytes.extracting(first: turns * turnBytes),
                first.lowerBound * elementBytes + turn * turnBytes)
        }
    }

    /// Whether part of a merged tensor differs from the base's values.
    private func differs(_ merged: RawSpan, at offset: Int, from tensor: TensorInventory) throws -> Bool {
        guard let type = tensor.floatingType else { return false }
        let outputType = plan.spec.outputType ?? type
        let values = try TensorValues(tensor, type, files: job.inputs.files)
        let rangeBytes = TensorMerge.rangeElements * outputType.byteCount
        var base = RangeBytes()
        for first in stride(from: 0, to: merged.byteCount, by: rangeBytes) {
            let count = min(rangeBytes, merged.byteCount - first)
            let start = (offset + first) / outputType.byteCount
            try base.read(values, start..<start + count / outputType.byteCount)
            if try base.differs(fromMerged: merged.extracting(first..<first + count), outputType) { return true }
        }
        return false
    }

    /// Reads and writes bytes, 1 MiB at a time, which is a whole number of elements of every type.
    private func copy(
        byteCount: Int, read: (Int, inout MutableRawSpan) throws -> Void, write: (Int, RawSpan) throws -> Void
    ) throws {
        var bytes = [UInt8](repeating: 0, count: min(byteCount, 1 << 20))
        for offset in stride(from: 0, to: byteCount, by: 1 << 20) {
            let count = min(1 << 20, byteCount - offset)
            do {
                var span = bytes.mutableSpan
                var raw = span.mutableBytes
                var target = raw._mutatingExtracting(first: count)
                try read(offset, &target)
            }
            try write(offset, bytes.span.bytes.extracting(first: count))
        }
    }
}
