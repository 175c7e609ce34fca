import KroneckerFactors
import LinearAlgebra
import TaskArithmetic

/// Why a unit cannot be computed, sorted by whether another attempt may help.
enum UnitError: Error, CustomStringConvertible {
    /// The input is wrong; the message names file and tensor.
    case badInput(String)
    /// The input holds NaN or infinity; the message says where.
    case nonFinite(String)
    /// A blob cannot be had, or is damaged: it has to be made again.
    case inputMissing(String)
    /// The lease contradicts itself; only another version of the coordinator sends such a one.
    case malformedLease(String)

    var description: String {
        switch self {
        case .badInput(let message), .nonFinite(let message), .inputMissing(let message): message
        case .malformedLease(let message): "the lease is malformed: \(message)"
        }
    }
}

extension KroneckerFactorsError {
    /// Whether the error lies in the numbers of the input, so that every worker would meet it.
    var isBadInput: Bool {
        switch self {
        case .nonFinite, .squareOverflow, .noRows, .rowsNotDivisible, .factorNotFinite, .exceedsStorage, .squaresVanish,
            .productNotFinite:
            true
        default: false
        }
    }
}
