internal import COpenBLAS

/// Whether a factor enters a product transposed.
public enum Transposition: Sendable {
    /// Not transposed.
    case none
    /// Rows and columns exchanged.
    case transposed

    var cblas: CBLAS_TRANSPOSE { self == .none ? CblasNoTrans : CblasTrans }

    func shape<Scalar>(of matrix: borrowing Matrix<Scalar>) -> (rows: Int, columns: Int) {
        self == .none ? (matrix.rowCount, matrix.columnCount) : (matrix.columnCount, matrix.rowCount)
    }
}

/// The side of a symmetric matrix in a product.
public enum ProductSide: Sendable {
    /// symmetric · matrix.
    case left
    /// matrix · symmetric.
    case right
}

extension Matrix {
    /// `self += scale · op(left) · op(right)`, in the precision of the elements.
    /// - Throws: ``LinearAlgebraError/lengthMismatch(buffer:expected:found:)`` when the shapes do not match; `self` is
    ///   then unchanged.
    public mutating func addProduct(
        _ left: borrowing Matrix<Scalar>,
        _ leftOperation: Transposition = .none,
        _ right: borrowing Matrix<Scalar>,
        _ rightOperation: Transposition = .none,
        scale: Scalar = 1
    ) throws(LinearAlgebraError) {
        let (rows, inner) = leftOperation.shape(of: left)
        let (found, columns) = rightOperation.shape(of: right)
        try requireProductShapes(rows: rows, inner: inner, found: found, columns: columns)
        guard elementCount > 0, inner > 0 else { return }
        unsafe Scalar.routines.gemm(
            CblasRowMajor,
            leftOperation.cblas,
            rightOperation.cblas,
            try blasInteger(rows),
            try blasInteger(columns),
            try blasInteger(inner),
            scale,
            left.storage.base,
            try blasInteger(left.columnCount),
            right.storage.base,
            try blasInteger(right.columnCount),
            1,
            storage.base,
            try blasInteger(columnCount)
        )
    }

    /// `self += scale · symmetric · matrix`, or with the symmetric matrix on the right, in the elements' precision.
    ///
    /// - Parameters:
    ///   - symmetric: `[n, n]`; only the lower triangle is read.
    ///   - side: The side of `symmetric`.
    ///   - matrix: `[n, m]` for ``ProductSide/left``, `[m, n]` for ``ProductSide/right``.
    ///   - scale: A factor of the whole product.
    /// - Throws: ``LinearAlgebraError/lengthMismatch(buffer:expected:found:)`` when the shapes do not match; `self` is
    ///   then unchanged.
    public mutating func addSymmetricProduct(
        _ symmetric: borrowing Matrix<Scalar>,
        on side: ProductSide,
        of matrix: borrowing Matrix<Scalar>,
        scale: Scalar = 1
    ) throws(LinearAlgebraError) {
        try requireSymmetricShapes(symmetric, on: side, of: matrix)
        guard elementCount > 0 else { return }
        unsafe Scalar.routines.symm(
            CblasRowMajor,
            side == .left ? CblasLeft : CblasRight,
            CblasLower,
            try blasInteger(rowCount),
            try blasInteger(columnCount),
            scale,
            symmetric.storage.base,
            try blasInteger(symmetric.columnCount),
            matrix.storage.base,
            try blasInteger(matrix.columnCount),
            1,
            storage.base,
            try blasInteger(columnCount)
        )
    }
}

extension Matrix {
    fileprivate borrowing func requireProductShapes(
        rows: Int,
        inner: Int,
        found: Int,
        columns: Int
    ) throws(LinearAlgebraError) {
        try requireLength("the right factor's side", expected: inner, found: found)
        try requireLength("the product's rows", expected: rows, found: rowCount)
        try requireLength("the product's columns", expected: columns, found: columnCount)
    }

    fileprivate borrowing func requireSymmetricShapes(
        _ symmetric: borrowing Matrix<Scalar>,
        on side: ProductSide,
        of matrix: borrowing Matrix<Scalar>
    ) throws(LinearAlgebraError) {
        let order = side == .left ? matrix.rowCount : matrix.columnCount
        try requireLength("the symmetric factor's rows", expected: order, found: symmetric.rowCount)
        try requireLength("the symmetric factor's columns", expected: order, found: symmetric.columnCount)
        try requireLength("the product's rows", expected: matrix.rowCount, found: rowCount)
        try requireLength("the product's columns", expected: matrix.columnCount, found: columnCount)
    }
}
