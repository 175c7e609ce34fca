import Admission
import JobPlan
import LinearAlgebra
import Safetensors
import TaskArithmetic
import UnitOperations

/// Finds the cause of a merged value that is not finite: an operand, or finite operands whose result overflows the
/// type.
struct RangeAudit {
    /// A range that cannot be written; ``error()`` then checks the whole tensor for its message.
    struct Flaw: Error {}

    let merge: TensorMerge

    private var operands: TensorMerge.Operands { merge.operands }
    private var allowsNonFinite: Bool { merge.job.plan.spec.nonFinite == .allow }

    /// The base and the models: 0 for the base, else the task's position + 1.
    private var checkpoints: [(place: Int, values: TensorValues)] {
        (operands.readsBase ? [(0, operands.base)] : []) + operands.models.map { ($0.position + 1, $0.values) }
    }

    /// Computes a range again in fp64; a difference that overflows fp32 may be in range there.
    ///
    /// - Parameters:
    ///   - elements: The range.
    ///   - target: Receives the merged bytes.
    /// - Returns: The number of NaN and infinities that each checkpoint holds in the range.
    /// - Throws: ``Flaw`` for values that must not be written, or what reading throws.
    func settle(_ elements: Range<Int>, into target: inout MutableRawSpan) throws -> [Int: Int] {
        var counts: [Int: Int] = [:]
        var tainted: Set<Int> = []
        for checkpoint in checkpoints {
            let positions = try nonFinitePositions(in: checkpoint, elements)
            if !positions.isEmpty { counts[checkpoint.place] = positions.count }
            tainted.formUnion(positions)
        }
        guard tainted.isEmpty || allowsNonFinite else { throw Flaw() }
        try values(of: elements) { values throws in try operands.outputType.encode(values, into: &target) }
        guard operands.outputType.nonFinitePositions(in: target.bytes).allSatisfy(tainted.contains) else {
            throw Flaw()
        }
        return counts
    }

    /// The error for the whole tensor.
    ///
    /// - Throws: What reading throws.
    func error() throws -> CoordinatorWorkError {
        if !allowsNonFinite {
            for checkpoint in checkpoints {
                if let message = try nonFiniteMessage(checkpoint) { return .badInput(message) }
            }
        }
        let name = operands.base.tensor.name
        guard let overflow = try overflow() else {
            return .badInput("tensor \"\(name)\" changed while it was merged. Submit the job again.")
        }
        return .badInput("tensor \"\(name)\" of the merged checkpoint: \(overflow)")
    }

    // MARK: - Operands

    private func nonFinitePositions(
        in checkpoint: (place: Int, values: TensorValues), _ elements: Range<Int>
    ) throws -> [Int] {
        var bytes = RangeBytes()
        try bytes.read(checkpoint.values, elements)
        return checkpoint.values.type.nonFinitePositions(in: bytes.buffer.span.bytes.extracting(first: bytes.byteCount))
    }

    private func nonFiniteMessage(_ checkpoint: (place: Int, values: TensorValues)) throws -> String? {
        var (count, first): (Int, Int?) = (0, nil)
        for elements in merge.ranges {
            let positions = try nonFinitePositions(in: checkpoint, elements)
            count += positions.count
            first = first ?? positions.first.map { elements.lowerBound + $0 }
        }
        guard let first else { return nil }
        let tensor = checkpoint.values.tensor
        let path = merge.job.inputs.files[tensor.ownSlice.file].path
        return "\(path): tensor \"\(tensor.name)\" holds NaN or infinity in \(count) of "
            + "\(tensor.elementCount) elements, first in element \(first); expected finite values. Save the "
            + "model again, give it the weight 0 there, or write \"non_finite: allow\" to merge them as they are."
    }

    // MARK: - Results

    /// The finite results that overflow the output's type.
    private func overflow() throws -> RangeOverflow? {
        var overflow: RangeOverflow?
        var bytes = [UInt8](repeating: 0, count: TensorMerge.rangeElements * operands.outputType.byteCount)
        for elements in merge.ranges {
            var tainted: Set<Int> = []
            for checkpoint in checkpoints { tainted.formUnion(try nonFinitePositions(in: checkpoint, elements)) }
            try values(of: elements) { values throws in
                var span = bytes.mutableSpan
                var raw = span.mutableBytes
                var target = raw._mutatingExtracting(first: elements.count * operands.outputType.byteCount)
                try operands.outputType.encode(values, into: &target)
                for position in operands.outputType.nonFinitePositions(in: target.bytes)
                where !tainted.contains(position) {
                    let known =
                        overflow
                        ?? RangeOverflow(
                            count: 0, firstIndex: elements.lowerBound + position, magnitude: 0,
                            type: operands.outputType)
                    overflow = RangeOverflow(
                        count: known.count + 1, firstIndex: known.firstIndex,
                        magnitude: [known.magnitude, values[position].magnitude].largest() ?? .nan, type: known.type)
                }
            }
        }
        return overflow
    }

    /// Lends a range's merged values in fp64.
    private func values(of elements: Range<Int>, _ body: (Span<Double>) throws -> Void) throws {
        let values = try wideValues(of: elements, operands.computation)
        try body(values.span)
    }

    private func wideValues<Computation: ElementwiseComputation & ~Copyable>(
        of elements: Range<Int>, _ computation: Computation.Type
    ) throws -> [Double] {
        var wide = try merge.makeComputation(computation, precision: .double)
        var range = RangeOperands(count: operands.models.count)
        try range.read(elements, of: operands)
        var values = [Double](repeating: 0, count: elements.count)
        var span = values.mutableSpan
        var target = span.mutableBytes
        try merge.merge(range, by: &wide, into: &target, as: .f64)
        return values
    }
}
