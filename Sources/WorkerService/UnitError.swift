import KroneckerFactors
import LinearAlgebra
import TaskArithmetic

/// Why a unit cannot be computed; the case tells whether another attempt may help.
enum UnitError: Error, CustomStringConvertible {
    /// The input is wrong; the message names file and tensor.
    case badInput(String)
    /// The input holds NaN or infinity; the message says where.
    case nonFinite(String)
    /// A blob is missing or damaged; it must be computed again.
    case inputMissing(String)
    /// The lease contradicts itself; only a coordinator of another version sends such a lease.
    case malformedLease(String)

    var description: String {
        switch self {
        case .badInput(let message), .nonFinite(let message), .inputMissing(let message): message
        case .malformedLease(let message): "the lease is malformed: \(message)"
        }
    }
}

extension KroneckerFactorsError {
    /// Whether the numbers of the input cause the error, so that it would occur on every worker.
    var isBadInput: Bool {
        switch self {
        case .nonFinite, .squareOverflow, .noRows, .rowsNotDivisible, .factorNotFinite, .exceedsStorage, .squaresVanish,
            .productNotFinite:
            true
        default: false
        }
    }
}
