/// What can go wrong in matrix storage, conversion and the BLAS and LAPACK calls.
///
/// Rows and columns count from 0. This module knows no file and no layer: the caller puts their names in front.
public enum LinearAlgebraError: Error, Equatable, Sendable {
    /// A shape whose element or byte count does not fit a 64-bit integer, or has a negative side.
    case invalidShape(rows: Int, columns: Int)
    /// The system has no memory for a buffer of this size.
    case outOfMemory(byteCount: Int)
    /// A buffer that does not hold what its shape says.
    case lengthMismatch(buffer: String, expected: Int, found: Int)
    /// A byte range that does not hold the elements it stands for.
    case byteCountMismatch(elementType: ElementType, expected: Int, found: Int)
    /// A side that does not fit the 32-bit integers of this BLAS.
    case dimensionExceedsBLAS(dimension: Int)
    /// The first row that holds NaN or infinity.
    case nonFinite(row: Int)
    /// Finite values whose sum of squares over one chunk overflows fp32; the row holds the column's largest magnitude.
    case squareOverflow(row: Int, column: Int)
    /// The Cholesky factorisation stopped: the leading minor of this order is not positive.
    case notPositiveDefinite(minor: Int)
    /// A LAPACK routine whose workspace length does not fit its 32-bit argument.
    case workspaceExceedsLAPACK(routine: String, dimension: Int, elementCount: Int)
    /// An iteration of a LAPACK routine reached its bound; `INFO` says where, in the routine's own words.
    case notConverged(routine: String, info: Int)
    /// A LAPACK routine refused its arguments with this negative `INFO`.
    case lapackFailed(routine: String, info: Int)
    /// Whoever watched a computation of many steps ended it.
    case cancelled
    /// A start-up check of the installed BLAS gave a wrong number.
    case selfTestFailed(routine: String, kernels: String, expected: Double, found: Double)
}

extension LinearAlgebraError: CustomStringConvertible {
    /// One sentence: what is wrong, what was expected, what to do.
    public var description: String {
        switch self {
        case .invalidShape(let rows, let columns):
            "a matrix of \(rows) × \(columns) elements cannot be addressed; expected sides of at least 0 and fewer "
                + "than 2^63 bytes in total."
        case .outOfMemory(let byteCount):
            "no memory for a buffer of \(byteCount) bytes. Give the worker more memory or fewer lanes."
        case .lengthMismatch(let buffer, let expected, let found):
            "\(buffer): \(found) elements; expected \(expected)."
        case .byteCountMismatch(let elementType, let expected, let found):
            "a range of \(elementType.rawValue) elements holds \(found) bytes; expected \(expected)."
        case .dimensionExceedsBLAS(let dimension):
            "a side of \(dimension) does not fit this BLAS; expected at most \(Int32.max)."
        case .nonFinite(let row):
            "row \(row) holds NaN or infinity; expected finite values."
        case .squareOverflow(let row, let column):
            "the squares of column \(column) overflow fp32 (largest magnitude in row \(row)); expected magnitudes "
                + "whose sum of squares over one chunk stays below 3.4e38. Scale the rows down."
        case .notPositiveDefinite(let minor):
            "the leading minor of order \(minor) is not positive; expected a positive definite matrix. Damp it."
        case .workspaceExceedsLAPACK(let routine, let dimension, let elementCount):
            "\(routine) of dimension \(dimension) needs a workspace of \(elementCount) elements; this LAPACK takes "
                + "at most \(Int32.max)."
        case .notConverged(let routine, let info):
            "\(routine) reached its bound of iterations (INFO = \(info)); expected it to converge for every finite "
                + "matrix. Set OPENBLAS_CORETYPE to another kernel set, or replace libopenblas."
        case .lapackFailed(let routine, let info):
            "\(routine) failed with INFO = \(info)."
        case .cancelled:
            "the computation was ended by whoever watched it; nothing was computed."
        case .selfTestFailed(let routine, let kernels, let expected, let found):
            "\(routine) of the installed BLAS (\(kernels) kernels) gave \(found); expected \(expected). Set "
                + "OPENBLAS_CORETYPE to another kernel set, or replace libopenblas."
        }
    }
}
