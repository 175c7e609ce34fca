public import KroneckerFactors
public import LinearAlgebra

/// What can go wrong while checkpoints are merged.
///
/// The caller, who knows them, puts tensor and file in front.
public enum TaskArithmeticError: Error, Equatable, Sendable {
    /// A merge that was finished before any task came.
    case noTasks
    /// A weight or scale that is not finite.
    case weightNotFinite(name: String, value: Double)
    /// Weights of an average whose sum is zero.
    case weightsCancel
    /// A byte range that is no whole number of elements.
    case partialElement(elementType: String, byteCount: Int)
    /// A range of more elements than the buffers were made for.
    case rangeExceedsCapacity(elements: Int, capacity: Int)
    /// A failure of damping or inverting.
    case kroneckerFactors(KroneckerFactorsError)
    /// A failure of storage, shape or BLAS.
    case linearAlgebra(LinearAlgebraError)
}

extension TaskArithmeticError: CustomStringConvertible {
    /// One sentence: what is wrong, what was expected, what to do.
    public var description: String {
        switch self {
        case .noTasks:
            "a merge of no task; expected at least one."
        case .weightNotFinite(let name, let value):
            "the \(name) is \(value); expected a finite number."
        case .weightsCancel:
            "the weights of an average sum to zero; expected a sum other than zero. Use task_arithmetic to negate."
        case .partialElement(let elementType, let byteCount):
            "a range of \(byteCount) bytes holds no whole number of \(elementType) elements."
        case .rangeExceedsCapacity(let elements, let capacity):
            "a range of \(elements) elements; expected at most the \(capacity) that the merge was made for."
        case .kroneckerFactors(let error):
            error.description
        case .linearAlgebra(let error):
            error.description
        }
    }
}

/// Runs operations of the mathematics below and carries their errors up unchanged.
func carryingErrors<Result: ~Copyable>(
    _ body: () throws(LinearAlgebraError) -> Result
) throws(TaskArithmeticError) -> Result {
    do {
        return try body()
    } catch {
        throw .linearAlgebra(error)
    }
}
