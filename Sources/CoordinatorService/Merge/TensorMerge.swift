import Admission
import Dispatch
import JobFiles
import JobPlan
import LinearAlgebra
import Safetensors
import Synchronization
import TaskArithmetic
import UnitOperations

/// Merges one tensor or parts of one elementwise, range by range, and checks whether the values are finite.
///
/// Only results are checked, while they are in the cache. A NaN or infinity in any operand reaches the result, because
/// models of weight 0 are not read at all. When one is found, ``RangeAudit`` tells whether an operand holds it or
/// finite values overflowed a type.
struct TensorMerge: Sendable {
    /// Elements of a range; with its operands it fits the second-level cache.
    static let rangeElements = 32_768
    /// Threads that share the ranges of a tensor; each element is computed alone, so the number changes no bit.
    private static let threads = 2

    /// The operands of one tensor's merge.
    struct Operands: Sendable {
        /// A model that takes part.
        struct Model: Sendable {
            /// Position of the task among the merged ones.
            let position: Int
            let tensor: TensorInventory
            let type: ElementType
            /// Its weight and its own parameters of the method.
            let merged: MergedModel
        }

        let computation: any (ElementwiseComputation & ~Copyable).Type

        let base: TensorInventory
        let type: ElementType
        let models: [Model]
        let outputType: ElementType
        let scale: Double
        /// Whether the models' vectors are added to the base; otherwise the models themselves are summed.
        let startsAtBase: Bool
        /// The weight and the parameters of the base itself, if it counts as a model.
        let baseModel: MergedModel?
        /// Whether weights are divided by their sum.
        let divides: Bool
        /// The job's own parameters of the method.
        let arguments: MergeArguments
        /// What was measured of the whole model, a list for each round.
        let statistics: [[Double]]
        /// Whether shares need fp64.
        ///
        /// Shares are not whole numbers, and in fp64 the mean of equal values still rounds to them.
        let needsDouble: Bool

        /// Whether the base's values enter the result.
        var readsBase: Bool { startsAtBase || (baseModel?.weight ?? 0) != 0 }

        /// The types of all operands and of the result.
        var types: [ElementType] { [type, outputType] + models.map(\.type) }
    }

    let job: Job
    let operands: Operands
    /// The elements that are merged: all of them, or those that no block covers.
    let elements: [ElementRuns]

    /// The ranges of elements that are merged at a time.
    var ranges: [Range<Int>] {
        elements.flatMap(\.ranges).flatMap { part in
            stride(from: part.lowerBound, to: part.upperBound, by: Self.rangeElements).map {
                $0..<min($0 + Self.rangeElements, part.upperBound)
            }
        }
    }

    /// What a thread found in its ranges.
    private struct Findings {
        var isChanged = false
        var differing: Set<Int> = []
        var nonFinite: [Int: Int] = [:]
    }

    /// Merges the elements into the checkpoint.
    ///
    /// - Returns: The tensor's state.
    /// - Throws: `CoordinatorWorkError.badInput` for values that are not finite or that overflow the output's type,
    ///   `JobFileError`, `SafetensorsError`, `TaskArithmeticError`.
    func run(_ writer: CheckpointWriter) throws -> MergedTensors.Tensor {
        let ranges = ranges
        guard !ranges.isEmpty else { return MergedTensors.Tensor(state: .unchanged) }
        let outcome = Mutex<(findings: Findings, failure: (any Error)?)>((Findings(), nil))
        let threads = min(Self.threads, ranges.count)
        DispatchQueue.concurrentPerform(iterations: threads) { thread in
            do {
                let own = stride(from: thread, to: ranges.count, by: threads).lazy.map { ranges[$0] }
                let found = try mergeRanges(operands.computation, own, writer)
                outcome.withLock { outcome in
                    outcome.findings.isChanged = outcome.findings.isChanged || found.isChanged
                    outcome.findings.differing.formUnion(found.differing)
                    outcome.findings.nonFinite.merge(found.nonFinite, uniquingKeysWith: +)
                }
            } catch {
                outcome.withLock { $0.failure = $0.failure ?? error }
            }
        }
        let (found, failure) = outcome.withLock { $0 }
        if failure is RangeAudit.Flaw { throw try RangeAudit(merge: self).error() }
        if let failure { throw failure }
        return MergedTensors.Tensor(
            state: found.isChanged ? .changed : .unchanged, differing: found.differing, nonFinite: found.nonFinite)
    }

    /// Merges a range.
    ///
    /// - Parameters:
    ///   - elements: The range.
    ///   - merge: The computation.
    ///   - base: The range of the base, already filled.
    ///   - bytes: Scratch for the models' bytes.
    ///   - target: Receives the merged bytes.
    ///   - type: The type of the merged bytes.
    ///   - look: Called with each model's range.
    /// - Throws: The errors of the reader and of the computation.
    func merge<Computation: ElementwiseComputation & ~Copyable>(
        _ elements: Range<Int>, by merge: inout Computation, _ base: RangeBytes, _ bytes: inout RangeBytes,
        into target: inout MutableRawSpan, as type: ElementType,
        look: (Operands.Model, RangeBytes) -> Void = { _, _ in }
    ) throws {
        try begin(&merge, base, elements.count)
        for model in operands.models {
            try bytes.read(model.tensor, model.type, elements, job)
            look(model, bytes)
            try merge.add(
                bytes.bytes.span.bytes.extracting(first: bytes.byteCount), type: model.type, of: model.merged)
        }
        try merge.finish(
            divides: operands.divides, alpha: operands.scale, arguments: operands.arguments, into: &target, type: type)
    }

    /// Starts a range at the base or at zero; the base's own weight counts either way.
    private func begin<Computation: ElementwiseComputation & ~Copyable>(
        _ merge: inout Computation, _ base: RangeBytes, _ count: Int
    ) throws {
        let bytes = base.bytes.span.bytes.extracting(first: base.byteCount)
        if operands.startsAtBase {
            try merge.begin(base: bytes, type: operands.type)
            // With every weight 0 nothing is added. The base may still change its type.
            try merge.addBase(weight: operands.baseModel?.weight ?? 0)
        } else {
            try merge.begin(elements: count)
            guard let model = operands.baseModel else { return }
            try merge.add(bytes, type: operands.type, of: model)
        }
    }

    private func mergeRanges<Computation: ElementwiseComputation & ~Copyable>(
        _ computation: Computation.Type, _ ranges: some Sequence<Range<Int>>, _ writer: CheckpointWriter
    ) throws -> Findings {
        let precision = operands.needsDouble ? .double : MergePrecision(operands: operands.types)
        var merge = try Computation(
            capacity: Self.rangeElements, precision: precision, statistics: operands.statistics)
        var (base, bytes) = (RangeBytes(), RangeBytes())
        var output = [UInt8](repeating: 0, count: Self.rangeElements * operands.outputType.byteCount)
        var found = Findings()
        for elements in ranges {
            try base.read(operands.base, operands.type, elements, job)
            let written = elements.count * operands.outputType.byteCount
            var span = output.mutableSpan
            var raw = span.mutableBytes
            var target = raw._mutatingExtracting(first: written)
            try self.merge(elements, by: &merge, base, &bytes, into: &target, as: operands.outputType) {
                model, values in
                if !found.differing.contains(model.position), values.differs(from: base) {
                    found.differing.insert(model.position)
                }
            }
            if operands.outputType.firstNonFinite(in: target.bytes) != nil {
                let counts = try RangeAudit(merge: self).settle(elements, into: &target)
                found.nonFinite.merge(counts, uniquingKeysWith: +)
            }
            if !found.isChanged { found.isChanged = try base.differs(fromMerged: target.bytes, operands.outputType) }
            try writer.write(
                target.bytes, to: operands.base.name, at: elements.lowerBound * operands.outputType.byteCount)
        }
        return found
    }
}

/// The bytes of one tensor in one range, with their type.
struct RangeBytes {
    /// A buffer for the largest range; its first ``byteCount`` bytes belong to the range.
    private(set) var bytes = [UInt8](repeating: 0, count: TensorMerge.rangeElements * 8)
    private(set) var byteCount = 0
    private var type = ElementType.f32

    /// Reads some elements of a tensor.
    mutating func read(
        _ tensor: TensorInventory, _ type: ElementType, _ elements: Range<Int>, _ job: Job
    ) throws {
        let count = elements.count * type.byteCount
        (byteCount, self.type) = (count, type)
        var span = bytes.mutableSpan
        var raw = span.mutableBytes
        var target = raw._mutatingExtracting(first: count)
        try job.inputs.files[tensor.slice.file].read(
            fromFileOffset: Int(tensor.slice.offset) + elements.lowerBound * type.byteCount, into: &target)
    }

    /// Whether any value differs from the other range's.
    func differs(from other: RangeBytes) -> Bool {
        guard type == other.type else { return values != other.values }
        return !TensorComparison.areEqual(
            bytes.span.bytes.extracting(first: byteCount), other.bytes.span.bytes.extracting(first: other.byteCount))
    }

    /// Whether a merged range differs from these values in its type.
    func differs(fromMerged merged: RawSpan, _ mergedType: ElementType) throws -> Bool {
        guard mergedType != type else {
            return !TensorComparison.areEqual(bytes.span.bytes.extracting(first: byteCount), merged)
        }
        var converted = [UInt8](repeating: 0, count: merged.byteCount)
        var span = converted.mutableSpan
        var target = span.mutableBytes
        try mergedType.encode(values.span, into: &target)
        return !TensorComparison.areEqual(target.bytes, merged)
    }

    /// The values in fp64.
    var values: [Double] {
        var values = [Double](repeating: 0, count: byteCount / type.byteCount)
        var target = values.mutableSpan
        // The sizes are equal by construction.
        try? type.decode(bytes.span.bytes.extracting(first: byteCount), into: &target)
        return values
    }
}
