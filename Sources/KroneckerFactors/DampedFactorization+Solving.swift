public import LinearAlgebra

extension DampedFactorization {
    /// Applies the damped inverse in place: `matrix = (M + εI)⁻¹ · matrix`, or `matrix · (M + εI)⁻¹` on the right.
    ///
    /// - Parameters:
    ///   - matrix: `[n, m]` for ``LinearAlgebra/ProductSide/left``, `[m, n]` for right.
    ///   - side: The side of the inverse.
    /// - Throws: ``KroneckerFactorsError/linearAlgebra(_:)`` when the shapes do not match (`matrix` is then unchanged),
    ///   or when memory is short.
    /// - Complexity: n²·m multiply-adds, n·m for a diagonal.
    public borrowing func solve(
        _ matrix: inout Matrix<Double>,
        on side: ProductSide
    ) throws(KroneckerFactorsError) {
        switch solver {
        case .diagonal(let inverse): try scale(&matrix, by: inverse, on: side)
        default: try solveScaled(&matrix, on: side)
        }
    }

    private borrowing func solveScaled(
        _ matrix: inout Matrix<Double>, on side: ProductSide
    ) throws(KroneckerFactorsError) {
        let pinnedLines = pinned.map { line($0, of: matrix, on: side) }
        do {
            switch solver {
            case .cholesky(let cholesky):
                try cholesky.solve(&matrix, on: side)
            case .eigen(let eigen):
                try eigen.solve(&matrix, on: side)
            case .diagonal: break
            }
        } catch {
            throw .linearAlgebra(error)
        }
        matrix.withMutableSpan { elements in
            for index in elements.indices { elements[index] /= scale }
        }
        // Pinned coordinates are decoupled, so their lines are the scaled lines of the right-hand side.
        for (coordinate, elements) in zip(pinned, pinnedLines) {
            for (index, element) in elements.enumerated() {
                if side == .left {
                    matrix[coordinate, index] = element * pinnedInverse
                } else {
                    matrix[index, coordinate] = element * pinnedInverse
                }
            }
        }
    }

    /// Applies the inverse of a diagonal, of which pinned coordinates are a part.
    private borrowing func scale(
        _ matrix: inout Matrix<Double>, by inverse: [Double], on side: ProductSide
    ) throws(KroneckerFactorsError) {
        var lines = inverse.map { $0 / scale }
        for coordinate in pinned { lines[coordinate] = pinnedInverse }
        do {
            try matrix.multiply(byDiagonal: lines, on: side)
        } catch {
            throw .linearAlgebra(error)
        }
    }

    /// Sets the lines of pinned coordinates to zero: rows for ``LinearAlgebra/ProductSide/left``, columns for right.
    ///
    /// Use it for a change that M proposes: without curvature in M nothing should change.
    ///
    /// - Parameters:
    ///   - matrix: As in ``solve(_:on:)``; a matrix of another shape stays unchanged.
    ///   - side: The side of M.
    public borrowing func clearPinned(in matrix: inout Matrix<Double>, on side: ProductSide) {
        let (rows, columns) = (matrix.rowCount, matrix.columnCount)
        guard (side == .left ? rows : columns) == dimension else { return }
        matrix.withMutableSpan { elements in
            for coordinate in pinned {
                if side == .left {
                    for index in coordinate * columns..<(coordinate + 1) * columns { elements[index] = 0 }
                } else {
                    for row in 0..<rows { elements[row * columns + coordinate] = 0 }
                }
            }
        }
    }

    /// Row (left) or column (right) of a coordinate.
    ///
    /// It is empty when the shape does not fit; the solver reports that error.
    private func line(_ coordinate: Int, of matrix: borrowing Matrix<Double>, on side: ProductSide) -> [Double] {
        switch side {
        case .left where matrix.rowCount == dimension:
            var elements: [Double] = []
            for column in 0..<matrix.columnCount { elements.append(matrix[coordinate, column]) }
            return elements
        case .right where matrix.columnCount == dimension:
            var elements: [Double] = []
            for row in 0..<matrix.rowCount { elements.append(matrix[row, coordinate]) }
            return elements
        default:
            return []
        }
    }
}
