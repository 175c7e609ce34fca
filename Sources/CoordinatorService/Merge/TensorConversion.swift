import Admission
import JobFiles
import JobPlan
import LinearAlgebra
import TaskArithmetic
import UnitOperations

/// Copies a tensor of the base that is not merged, in the checkpoint's type.
///
/// NaN and infinities are copied unchanged. Finite values that overflow the type are an error, as in a merge.
struct TensorConversion {
    let job: Job
    let tensor: TensorInventory
    let type: ElementType
    let outputType: ElementType

    /// Writes the tensor into the checkpoint.
    ///
    /// - Parameters:
    ///   - writer: The checkpoint.
    ///   - start: The first of the checkpoint's elements; more than 0 for the last rows of a tensor.
    /// - Throws: `CoordinatorWorkError.badInput` for values beyond the type's range, or what reading and writing throw.
    func run(_ writer: CheckpointWriter, from start: Int) throws {
        let stored = try TensorValues(tensor, type, files: job.inputs.files)
        var source = RangeBytes()
        var output = [UInt8](repeating: 0, count: TensorMerge.rangeElements * outputType.byteCount)
        var overflow: RangeOverflow?
        for first in stride(from: 0, to: tensor.elementCount, by: TensorMerge.rangeElements) {
            let elements = first..<min(first + TensorMerge.rangeElements, tensor.elementCount)
            try source.read(stored, elements)
            let values = source.values
            var span = output.mutableSpan
            var raw = span.mutableBytes
            var target = raw._mutatingExtracting(first: elements.count * outputType.byteCount)
            try outputType.encode(values.span, into: &target)
            for position in outputType.nonFinitePositions(in: target.bytes) where values[position].isFinite {
                overflow = RangeOverflow(
                    count: (overflow?.count ?? 0) + 1, firstIndex: overflow?.firstIndex ?? first + position,
                    magnitude: max(overflow?.magnitude ?? 0, values[position].magnitude), type: outputType,
                    isMerged: false)
            }
            if overflow == nil {
                try writer.write(target.bytes, to: tensor.name, at: (start + first) * outputType.byteCount)
            }
        }
        guard let overflow else { return }
        throw CoordinatorWorkError.badInput("tensor \"\(tensor.name)\" of the merged checkpoint: \(overflow)")
    }
}
