public import KroneckerFactors
public import LinearAlgebra

/// Errors of a merge of checkpoints.
///
/// The caller knows the tensor and the file, and puts them in front.
public enum TaskArithmeticError: Error, Equatable, Sendable {
    /// The merge was finished before any task was added.
    case noTasks
    /// A weight or scale is not finite.
    case weightNotFinite(name: String, value: Double)
    /// The weights of an average sum to zero.
    case weightsCancel
    /// The weighted directions of the models sum to zero.
    case directionsCancel
    /// A byte range is not a whole number of elements.
    case partialElement(elementType: String, byteCount: Int)
    /// A range has more elements than the buffers.
    case rangeExceedsCapacity(elements: Int, capacity: Int)
    /// The computation needs this parameter, and it is missing.
    case parameterMissing(name: String, expected: String)
    /// The computation cannot merge these operands.
    case unexpectedOperands(String)
    /// Damping or inverting failed.
    case kroneckerFactors(KroneckerFactorsError)
    /// Storage, shape or BLAS failed.
    case linearAlgebra(LinearAlgebraError)
}

extension TaskArithmeticError: CustomStringConvertible {
    /// One sentence: what is wrong, what was expected, and what to do.
    public var description: String {
        switch self {
        case .noTasks:
            "a merge of no task; expected at least one."
        case .weightNotFinite(let name, let value):
            "the \(name) is \(value); expected a finite number."
        case .weightsCancel:
            "the weights of an average sum to zero; expected a sum other than zero. Use task_arithmetic to negate."
        case .directionsCancel:
            "the weighted directions of the models sum to zero, so they have no mean; expected others. Change a weight, or "
                + "copy the base's tensor with \"ignore\"."
        case .partialElement(let elementType, let byteCount):
            "a range of \(byteCount) bytes holds no whole number of \(elementType) elements."
        case .rangeExceedsCapacity(let elements, let capacity):
            "a range of \(elements) elements; expected at most the \(capacity) that the merge was made for."
        case .parameterMissing(let name, let expected):
            "the parameter \"\(name)\" is missing; expected \(expected)."
        case .unexpectedOperands(let found):
            "a merge got \(found), which its method does not take."
        case .kroneckerFactors(let error):
            error.description
        case .linearAlgebra(let error):
            error.description
        }
    }
}

/// Runs operations of lower modules and wraps their errors.
func carryingErrors<Result: ~Copyable>(
    _ body: () throws(LinearAlgebraError) -> Result
) throws(TaskArithmeticError) -> Result {
    do {
        return try body()
    } catch {
        throw .linearAlgebra(error)
    }
}
