/// Errors of matrix storage, conversion, BLAS and LAPACK.
///
/// Rows and columns count from 0. This module knows neither file nor layer; the caller puts their names in front.
public enum LinearAlgebraError: Error, Equatable, Sendable {
    /// A shape has a negative side, or its element or byte count overflows a 64-bit integer.
    case invalidShape(rows: Int, columns: Int)
    /// The system has no memory for a buffer of this size.
    case outOfMemory(byteCount: Int)
    /// A buffer does not have the length of its shape.
    case lengthMismatch(buffer: String, expected: Int, found: Int)
    /// A byte range does not have the length of its elements.
    case byteCountMismatch(elementType: ElementType, expected: Int, found: Int)
    /// A side overflows the 32-bit integers of this BLAS.
    case dimensionExceedsBLAS(dimension: Int)
    /// A row holds NaN or infinity; it is the first such row.
    case nonFinite(row: Int)
    /// The sum of squares of finite values over one chunk overflows fp32; `row` holds the column's largest magnitude.
    case squareOverflow(row: Int, column: Int)
    /// The Cholesky factorisation stopped, because the leading minor of this order is not positive.
    case notPositiveDefinite(minor: Int)
    /// The workspace length of a LAPACK routine overflows its 32-bit argument.
    case workspaceExceedsLAPACK(routine: String, dimension: Int, elementCount: Int)
    /// An iteration of a LAPACK routine reached its bound; `INFO` says where.
    case notConverged(routine: String, info: Int)
    /// A LAPACK routine refused its arguments with this negative `INFO`.
    case lapackFailed(routine: String, info: Int)
    /// The observer of the computation ended it.
    case cancelled
    /// A start-up check of the installed BLAS gave a wrong result.
    case selfTestFailed(routine: String, kernels: String, expected: Double, found: Double)
}

extension LinearAlgebraError: CustomStringConvertible {
    /// One sentence: what is wrong, what was expected, and what to do.
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
            "the observer ended the computation; nothing was computed."
        case .selfTestFailed(let routine, let kernels, let expected, let found):
            "\(routine) of the installed BLAS (\(kernels) kernels) gave \(found); expected \(expected). Set "
                + "OPENBLAS_CORETYPE to another kernel set, or replace libopenblas."
        }
    }
}
