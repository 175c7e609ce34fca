/// A symmetric matrix in fp64, in the form in which products take it.
public enum SymmetricOperand: ~Copyable, Sendable {
    /// The lower triangle of a square; the upper triangle is not read.
    case square(Matrix<Double>)
    /// A diagonal.
    case diagonal([Double])

    /// Adds a number to every element of the diagonal.
    public mutating func addToDiagonal(_ value: Double) {
        switch consume self {
        case .square(var square):
            square.addToDiagonal(value)
            self = .square(square)
        case .diagonal(let diagonal): self = .diagonal(diagonal.map { $0 + value })
        }
    }

    /// Multiplies every element off the diagonal by a number.
    public mutating func multiplyOffDiagonal(by scale: Double) {
        switch consume self {
        case .square(var square):
            let order = square.rowCount
            square.withMutableSpan { elements in
                for row in 0..<order {
                    for column in 0..<row { elements[row * order + column] *= scale }
                }
            }
            self = .square(square)
        case .diagonal(let diagonal): self = .diagonal(diagonal)
        }
    }
}

extension PackedSymmetricMatrix {
    /// The matrix for products.
    /// - Throws: ``LinearAlgebraError/outOfMemory(byteCount:)``.
    public func operand() throws(LinearAlgebraError) -> SymmetricOperand {
        shape.isDiagonal ? .diagonal(diagonal.map(Double.init)) : .square(try unpackedLower())
    }

    /// `self − mean` for products.
    /// - Throws: ``LinearAlgebraError/lengthMismatch(buffer:expected:found:)`` for unequal shapes, or
    ///   ``LinearAlgebraError/outOfMemory(byteCount:)``.
    public func operand(
        minus mean: borrowing PackedSymmetricMatrix<Double>
    ) throws(LinearAlgebraError) -> SymmetricOperand {
        guard shape.isDiagonal else { return .square(try unpackedLower(minus: mean)) }
        try requireShape(of: mean, "a subtracted mean")
        return .diagonal(zip(diagonal, mean.diagonal).map { Double($0) - $1 })
    }
}

extension Matrix where Scalar == Double {
    /// `self += scale · symmetric · matrix`, or `self += scale · matrix · symmetric` on the right.
    ///
    /// - Parameters:
    ///   - symmetric: The symmetric factor, `[n, n]`.
    ///   - side: The side on which it stands.
    ///   - matrix: The other factor, of this matrix's shape.
    ///   - scale: The factor of the product.
    /// - Throws: ``LinearAlgebraError/lengthMismatch(buffer:expected:found:)`` when the shapes do not match, or
    ///   ``LinearAlgebraError/dimensionExceedsBLAS(dimension:)``; `self` is then unchanged.
    public mutating func addSymmetricProduct(
        _ symmetric: borrowing SymmetricOperand,
        on side: ProductSide,
        of matrix: borrowing Matrix<Double>,
        scale: Double = 1
    ) throws(LinearAlgebraError) {
        switch symmetric {
        case .square(let square): try addSymmetricProduct(square, on: side, of: matrix, scale: scale)
        case .diagonal(let diagonal): try addDiagonalProduct(diagonal, on: side, of: matrix, scale: scale)
        }
    }

    private mutating func addDiagonalProduct(
        _ diagonal: [Double], on side: ProductSide, of matrix: borrowing Matrix<Double>, scale: Double
    ) throws(LinearAlgebraError) {
        try requireLength("the product's rows", expected: matrix.rowCount, found: rowCount)
        try requireLength("the product's columns", expected: matrix.columnCount, found: columnCount)
        try requireLength("the diagonal", expected: side == .left ? rowCount : columnCount, found: diagonal.count)
        let columns = columnCount
        for row in 0..<rowCount {
            let source = unsafe matrix.storage.base + row * columns
            let target = unsafe storage.base + row * columns
            if side == .left {
                let factor = scale * diagonal[row]
                for column in 0..<columns { unsafe target[column] += factor * source[column] }
            } else {
                for column in 0..<columns { unsafe target[column] += scale * diagonal[column] * source[column] }
            }
        }
    }

    /// Multiplies each row (left) or each column (right) by a number.
    /// - Throws: ``LinearAlgebraError/lengthMismatch(buffer:expected:found:)`` unless there is a number for each;
    ///   `self` is then unchanged.
    public mutating func multiply(byDiagonal diagonal: [Double], on side: ProductSide) throws(LinearAlgebraError) {
        try requireLength("the diagonal", expected: side == .left ? rowCount : columnCount, found: diagonal.count)
        let columns = columnCount
        for row in 0..<rowCount {
            let elements = unsafe storage.base + row * columns
            for column in 0..<columns { unsafe elements[column] *= diagonal[side == .left ? row : column] }
        }
    }
}
