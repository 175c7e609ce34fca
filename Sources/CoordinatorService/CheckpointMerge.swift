import BlobStore
import Dispatch
import Identifiers
import JobFiles
import JobPlan
import LinearAlgebra
import Safetensors
import Scheduling
import Synchronization
import SystemPackage
import TaskArithmetic

/// Writes the merged checkpoint in the layout of the base, range by range: memory does not depend on the model.
///
/// Source: DESIGN section 2.5 and 2.6.
struct CheckpointMerge: Sendable {
    /// Elements of a range: with its operands it stays in the second-level cache.
    private static let rangeElements = 32_768
    /// Threads that share the ranges of a tensor; each element is computed alone, so they change no bit.
    private static let threads = 2

    let job: Job
    let store: BlobStore
    /// A finished unit's result.
    let result: @Sendable (UnitIndex) -> UnitResult?

    private var plan: JobPlan { job.plan }

    /// What one tensor is merged from.
    private struct Operands: Sendable {
        let name: String
        let base: TensorInventory
        let tasks: [(tensor: TensorInventory, type: ElementType, weight: Double)]
        let type: ElementType
        let outputType: ElementType
        let scale: Double
        /// Whether the tasks' vectors are added to the base; else the tasks themselves are summed.
        let startsAtBase: Bool
        /// The weight with which the base itself counts, where it does.
        let baseWeight: Double?
        /// Whether weights are divided by their sum.
        let divides: Bool
    }

    /// Merges every tensor and publishes the checkpoint into the staging directory.
    ///
    /// - Throws: `JobFileError`, `SafetensorsError`, `TaskArithmeticError`; no checkpoint exists then.
    func run() throws {
        let outputType = plan.spec.outputType.flatMap { TensorDataType(rawValue: $0.rawValue) }
        let writer = try CheckpointWriter(
            directory: try job.output.stage("merged"), base: job.inputs.base, dataType: outputType,
            provenance: provenance)
        let merged = mergedBlobs()
        let settings = MergeSettings(spec: plan.spec, base: plan.inventory.base)
        for tensor in plan.inventory.base.shards.flatMap(\.tensors) {
            if plan.spec.copyReason(tensor, in: plan.inventory) != nil {
                try copy(tensor, writer)
            } else if let blob = merged[tensor.name] {
                try copy(blob, to: tensor.name, writer)
            } else if let operands = operands(of: tensor, settings) {
                try merge(operands, writer)
            } else {
                try copy(tensor, writer)
            }
        }
        try writer.finish()
    }

    /// How the checkpoint came about: the job without its paths, which differ from machine to machine.
    private var provenance: String {
        JSONValue.object([
            .init("method", .string(plan.spec.method.rawValue)),
            .init("tasks", .array(plan.mergedTasks.map { .string($0.name.rawValue) })),
            .init("format", .string("kfacd.checkpoint/1")),
        ]).text()
    }

    /// The parameters that workers merged, by name.
    private func mergedBlobs() -> [String: BlobReference] {
        var merged: [String: BlobReference] = [:]
        for block in plan.blocks {
            guard let unit = plan.blockMerges[block.name], let blobs = result(unit)?.blobs else { continue }
            for (name, blob) in zip(block.parameters, blobs) { merged[name] = blob }
        }
        return merged
    }

    private func operands(of tensor: TensorInventory, _ settings: MergeSettings) -> Operands? {
        // Tensors that are no floating-point numbers are the base's.
        guard let type = tensor.floatingType else { return nil }
        let tasks = plan.mergedTasks.compactMap {
            task -> (tensor: TensorInventory, type: ElementType, weight: Double)? in
            guard let own = plan.inventory.checkpoints[task.name]?.tensors[tensor.name], let type = own.floatingType
            else { return nil }
            return (own, type, settings.weight(of: task, tensor: tensor.name))
        }
        let baseWeight = settings.baseWeight(tensor: tensor.name)
        guard !tasks.isEmpty || baseWeight != nil else { return nil }
        return Operands(
            name: tensor.name, base: tensor, tasks: tasks, type: type, outputType: plan.spec.outputType ?? type,
            scale: settings.scale(tensor: tensor.name), startsAtBase: plan.spec.method != .linear,
            baseWeight: baseWeight, divides: settings.divides(tensor: tensor.name))
    }

    // MARK: - Merging

    private func merge(_ operands: Operands, _ writer: CheckpointWriter) throws {
        let count = operands.base.elementCount
        let rangeCount = (count + Self.rangeElements - 1) / Self.rangeElements
        guard rangeCount > 0 else { return }
        let failure = Mutex<(any Error)?>(nil)
        let threads = min(Self.threads, rangeCount)
        DispatchQueue.concurrentPerform(iterations: threads) { thread in
            do {
                try mergeRanges(operands, stride(from: thread, to: rangeCount, by: threads), count, writer)
            } catch {
                failure.withLock { $0 = $0 ?? error }
            }
        }
        if let error = failure.withLock({ $0 }) { throw error }
    }

    private func mergeRanges(
        _ operands: Operands, _ ranges: StrideTo<Int>, _ count: Int, _ writer: CheckpointWriter
    ) throws {
        let precision = MergePrecision(operands: [operands.type, operands.outputType] + operands.tasks.map(\.type))
        var merge = try ElementwiseMerge(capacity: Self.rangeElements, precision: precision)
        var bytes = [UInt8](repeating: 0, count: Self.rangeElements * 8)
        var output = [UInt8](repeating: 0, count: Self.rangeElements * operands.outputType.byteCount)
        let method: MergeMethod = operands.divides ? .weightedAverage : .taskArithmetic
        for range in ranges {
            let elements = range * Self.rangeElements..<min((range + 1) * Self.rangeElements, count)
            try begin(&merge, operands, elements, &bytes)
            for task in operands.tasks {
                let size = try read(task.tensor.slice, task.type, elements, into: &bytes)
                try merge.add(bytes.span.bytes.extracting(first: size), type: task.type, weight: task.weight)
            }
            let written = elements.count * operands.outputType.byteCount
            var span = output.mutableSpan
            var raw = span.mutableBytes
            var target = raw._mutatingExtracting(first: written)
            try merge.finish(method: method, alpha: operands.scale, into: &target, type: operands.outputType)
            try writer.write(
                output.span.bytes.extracting(first: written), to: operands.name,
                at: elements.lowerBound * operands.outputType.byteCount)
        }
    }

    /// Starts a range at the base, or at nothing; the base's own weight counts either way.
    private func begin(
        _ merge: inout ElementwiseMerge, _ operands: Operands, _ elements: Range<Int>, _ bytes: inout [UInt8]
    ) throws {
        guard operands.startsAtBase || operands.baseWeight != nil else {
            return try merge.begin(elements: elements.count)
        }
        let size = try read(operands.base.slice, operands.type, elements, into: &bytes)
        let base = bytes.span.bytes.extracting(first: size)
        if operands.startsAtBase {
            try merge.begin(base: base, type: operands.type)
            if let weight = operands.baseWeight { try merge.addBase(weight: weight) }
        } else if let weight = operands.baseWeight {
            try merge.begin(elements: elements.count)
            try merge.add(base, type: operands.type, weight: weight)
        }
    }

    /// Reads some elements of a tensor and says how many bytes they have.
    private func read(
        _ slice: FileSlice, _ type: ElementType, _ elements: Range<Int>, into bytes: inout [UInt8]
    ) throws -> Int {
        let count = elements.count * type.byteCount
        var span = bytes.mutableSpan
        var raw = span.mutableBytes
        var target = raw._mutatingExtracting(first: count)
        try job.inputs.files[slice.file].read(
            fromFileOffset: Int(slice.offset) + elements.lowerBound * type.byteCount, into: &target)
        return count
    }

    // MARK: - Copying

    private func copy(_ tensor: TensorInventory, _ writer: CheckpointWriter) throws {
        try copy(byteCount: Int(tensor.slice.byteCount), to: tensor.name, writer) { offset, target throws in
            try job.inputs.files[tensor.slice.file].read(
                fromFileOffset: Int(tensor.slice.offset) + offset, into: &target)
        }
    }

    private func copy(_ blob: BlobReference, to name: String, _ writer: CheckpointWriter) throws {
        try copy(byteCount: Int(blob.byteCount), to: name, writer) { offset, target throws in
            try store.read(blob.digest, at: offset, into: &target)
        }
    }

    private func copy(
        byteCount: Int, to name: String, _ writer: CheckpointWriter,
        read: (Int, inout MutableRawSpan) throws -> Void
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
            try writer.write(bytes.span.bytes.extracting(first: count), to: name, at: offset)
        }
    }
}
