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
/// A range is read whole from every file, because each read costs a system call. It is merged block by block, so that
/// sums stay in the first-level cache.
///
/// Only results are checked, while they are in the cache. A NaN or infinity in any operand reaches the result, because
/// models of weight 0 are not read at all. When one is found, ``RangeAudit`` tells whether an operand holds it or
/// finite values overflowed a type.
struct TensorMerge: Sendable {
    /// Elements of a range; those of ten files with 16 bits for each element fit the second-level cache.
    static let rangeElements = 32_768
    /// Elements that are merged at a time; the base and the sum in fp32 fit the first-level cache.
    private static let blockElements = 4096
    /// What rounding loses is measured in the first block of one range of so many.
    private static let rangesPerSample = 8

    /// The operands of one tensor's merge.
    struct Operands: Sendable {
        /// A model that takes part.
        struct Model: Sendable {
            /// Position of the task among the merged ones.
            let position: Int
            let values: TensorValues
            /// Its weight and its own parameters of the method.
            let merged: MergedModel
        }

        let computation: any (ElementwiseComputation & ~Copyable).Type
        /// The position in the tensor from which the computation counts indices.
        let firstElement: Int

        let base: TensorValues
        let models: [Model]
        let outputType: ElementType
        let scale: Double
        /// Whether the models' vectors are added to the base; otherwise the models themselves are summed.
        let startsAtBase: Bool
        /// Whether the job names a base, from which the merged model differs.
        let isBaseGiven: Bool
        /// The weight and the parameters of the base itself, if it counts as a model.
        let baseModel: MergedModel?
        /// Whether the base is the origin of the models' vectors, and no model itself.
        let isBaseOrigin: Bool
        /// Whether weights are divided by their sum.
        let divides: Bool
        /// The job's own parameters of the method.
        let arguments: MergeArguments
        /// What was measured of the whole model, a list for each round, and then of the tensor.
        let statistics: [[Double]]
        /// Whether shares need fp64.
        ///
        /// Shares are not whole numbers, and in fp64 the mean of equal values still rounds to them.
        let needsDouble: Bool

        /// Whether the base's values enter the result.
        var readsBase: Bool { startsAtBase || isBaseOrigin || (baseModel?.weight ?? 0) != 0 }

        /// The types of all operands and of the result.
        var types: [ElementType] { [base.type, outputType] + models.map(\.values.type) }
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
        /// What rounding lost, by the sampled range.
        var losses: [Int: RoundingLoss] = [:]
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
        // A thread that is held up leaves the ranges to the other one.
        let next = Atomic(0)
        DispatchQueue.concurrentPerform(iterations: min(CoordinatorOperation.mergeThreads, ranges.count)) { _ in
            do {
                let found = try mergeRanges(operands.computation, writer) {
                    let index = next.wrappingAdd(1, ordering: .relaxed).oldValue
                    return index < ranges.count ? (index, ranges[index]) : nil
                }
                outcome.withLock { outcome in
                    outcome.findings.isChanged = outcome.findings.isChanged || found.isChanged
                    outcome.findings.differing.formUnion(found.differing)
                    outcome.findings.nonFinite.merge(found.nonFinite, uniquingKeysWith: +)
                    outcome.findings.losses.merge(found.losses) { $1 }
                }
            } catch {
                outcome.withLock { $0.failure = $0.failure ?? error }
            }
        }
        let (found, failure) = outcome.withLock { $0 }
        if failure is RangeAudit.Flaw { throw try RangeAudit(merge: self).error() }
        if let failure { throw failure }
        // In the order of the ranges, so that threads change no bit of the sum.
        let loss = found.losses.sorted { $0.key < $1.key }.reduce(into: RoundingLoss()) { $0.add($1.value) }
        return MergedTensors.Tensor(
            state: found.isChanged ? .changed : .unchanged, differing: found.differing, nonFinite: found.nonFinite,
            loss: loss)
    }

    /// Merges a range, block by block.
    ///
    /// - Parameters:
    ///   - range: The range, already read.
    ///   - merge: The computation.
    ///   - target: Receives the merged bytes.
    ///   - type: The type of the merged bytes.
    /// - Throws: The errors of the computation.
    func merge<Computation: ElementwiseComputation & ~Copyable>(
        _ range: RangeOperands, by merge: inout Computation, into target: inout MutableRawSpan, as type: ElementType
    ) throws {
        for first in stride(from: 0, to: range.count, by: Self.blockElements) {
            let block = first..<min(first + Self.blockElements, range.count)
            var part = target._mutatingExtracting(
                block.lowerBound * type.byteCount..<block.upperBound * type.byteCount)
            try self.merge(block, of: range, by: &merge, into: &part, as: type)
        }
    }

    /// Merges a block of a range.
    private func merge<Computation: ElementwiseComputation & ~Copyable>(
        _ block: Range<Int>, of range: RangeOperands, by merge: inout Computation, into target: inout MutableRawSpan,
        as type: ElementType
    ) throws {
        merge.place(at: range.first + block.lowerBound - operands.firstElement)
        try begin(&merge, range.base.buffer.span.bytes.extracting(range.base.place(of: block)), block.count)
        // The models are not copied out of their array, because both threads would count references to them.
        for model in operands.models.indices {
            let own = range.models[model]
            try merge.add(
                own.buffer.span.bytes.extracting(own.place(of: block)), type: operands.models[model].values.type,
                of: operands.models[model].merged)
        }
        try merge.finish(
            divides: operands.divides, alpha: operands.scale, arguments: operands.arguments, into: &target, type: type)
    }

    /// What rounding loses in the first block of a range, which is merged again into fp64.
    private func loss<Computation: ElementwiseComputation & ~Copyable>(
        in range: RangeOperands, by merge: inout Computation
    ) throws -> RoundingLoss {
        let block = 0..<min(Self.blockElements, range.count)
        var exact = [Double](repeating: 0, count: block.count)
        do {
            var span = exact.mutableSpan
            var target = span.mutableBytes
            try self.merge(block, of: range, by: &merge, into: &target, as: .f64)
        }
        var base = [Double](repeating: 0, count: block.count)
        do {
            var values = base.mutableSpan
            try operands.base.type.decode(
                range.base.buffer.span.bytes.extracting(range.base.place(of: block)), into: &values)
        }
        var loss = RoundingLoss()
        try loss.add(exact.span, base: base.span, roundedTo: operands.outputType)
        return loss
    }

    /// A computation for blocks of this tensor.
    func makeComputation<Computation: ElementwiseComputation & ~Copyable>(
        _ computation: Computation.Type, precision: MergePrecision
    ) throws -> Computation {
        try Computation(capacity: Self.blockElements, precision: precision, statistics: operands.statistics)
    }

    /// Starts a block at the base or at zero; the base's own weight counts either way.
    private func begin<Computation: ElementwiseComputation & ~Copyable>(
        _ merge: inout Computation, _ bytes: RawSpan, _ count: Int
    ) throws {
        if operands.startsAtBase {
            try merge.begin(base: bytes, type: operands.base.type)
            // With every weight 0 nothing is added. The base may still change its type.
            try merge.addBase(weight: operands.baseModel?.weight ?? 0)
        } else {
            try merge.begin(elements: count)
            guard let model = operands.baseModel else { return }
            try merge.add(bytes, type: operands.base.type, of: model)
        }
    }

    private func mergeRanges<Computation: ElementwiseComputation & ~Copyable>(
        _ computation: Computation.Type, _ writer: CheckpointWriter, next: () -> (index: Int, elements: Range<Int>)?
    ) throws -> Findings {
        let precision = operands.needsDouble ? .double : MergePrecision(operands: operands.types)
        var merge = try makeComputation(computation, precision: precision)
        var range = RangeOperands(count: operands.models.count)
        var output: [UInt8] = []
        var found = Findings()
        while let (index, elements) = next() {
            try range.read(elements, of: operands)
            for model in operands.models.indices
            where !found.differing.contains(operands.models[model].position)
                && range.models[model].differs(from: range.base)
            {
                found.differing.insert(operands.models[model].position)
            }
            let written = elements.count * operands.outputType.byteCount
            if output.count < written { output = [UInt8](repeating: 0, count: written) }
            var span = output.mutableSpan
            var raw = span.mutableBytes
            var target = raw._mutatingExtracting(first: written)
            try self.merge(range, by: &merge, into: &target, as: operands.outputType)
            if operands.outputType.firstNonFinite(in: target.bytes) != nil {
                let counts = try RangeAudit(merge: self).settle(elements, into: &target)
                found.nonFinite.merge(counts, uniquingKeysWith: +)
            }
            if operands.outputType.isHalf, operands.isBaseGiven, index.isMultiple(of: Self.rangesPerSample) {
                found.losses[index] = try loss(in: range, by: &merge)
            }
            if !found.isChanged {
                found.isChanged = try range.base.differs(fromMerged: target.bytes, operands.outputType)
            }
            try writer.write(
                target.bytes, to: operands.base.tensor.name, at: elements.lowerBound * operands.outputType.byteCount)
        }
        return found
    }
}

/// One range of the base and of all models of a tensor; its buffers are used again for the next range.
struct RangeOperands {
    private(set) var base = RangeBytes()
    /// The models' ranges, in the order of ``TensorMerge/Operands/models``.
    private(set) var models: [RangeBytes]
    /// The position of the first element in the tensor.
    private(set) var first = 0
    /// The elements of the range.
    private(set) var count = 0

    /// Makes room for a base and a number of models.
    init(count: Int) {
        models = Array(repeating: RangeBytes(), count: count)
    }

    /// Reads some elements of a tensor's operands.
    ///
    /// - Throws: What reading throws.
    mutating func read(_ elements: Range<Int>, of operands: TensorMerge.Operands) throws {
        (first, count) = (elements.lowerBound, elements.count)
        try base.read(operands.base, elements)
        for model in operands.models.indices {
            try models[model].read(operands.models[model].values, elements)
        }
    }
}

/// The bytes of one tensor in one range, with their type.
struct RangeBytes {
    /// A buffer for the largest range so far; its first ``byteCount`` bytes belong to the range.
    private(set) var buffer: [UInt8] = []
    private(set) var byteCount = 0
    private var type = ElementType.f32

    /// Reads some elements of a tensor.
    mutating func read(_ values: TensorValues, _ elements: Range<Int>) throws {
        let count = elements.count * values.type.byteCount
        if buffer.count < count { buffer = [UInt8](repeating: 0, count: count) }
        (byteCount, type) = (count, values.type)
        var span = buffer.mutableSpan
        var raw = span.mutableBytes
        var target = raw._mutatingExtracting(first: count)
        try values.read(elements, into: &target)
    }

    /// The place in the buffer of some elements, counted from the range's first.
    func place(of elements: Range<Int>) -> Range<Int> {
        elements.lowerBound * type.byteCount..<elements.upperBound * type.byteCount
    }

    /// Whether any value differs from the other range's.
    func differs(from other: RangeBytes) -> Bool {
        guard type == other.type else { return values != other.values }
        return !TensorComparison.areEqual(
            buffer.span.bytes.extracting(first: byteCount), other.buffer.span.bytes.extracting(first: other.byteCount))
    }

    /// Whether a merged range differs from these values in its type.
    func differs(fromMerged merged: RawSpan, _ mergedType: ElementType) throws -> Bool {
        guard mergedType != type else {
            return !TensorComparison.areEqual(buffer.span.bytes.extracting(first: byteCount), merged)
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
        try? type.decode(buffer.span.bytes.extracting(first: byteCount), into: &target)
        return values
    }
}
