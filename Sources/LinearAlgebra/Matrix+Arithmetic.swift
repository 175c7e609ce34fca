extension Matrix where Scalar == Double {
    /// `self += scale · other`.
    /// - Throws: ``LinearAlgebraError/lengthMismatch(buffer:expected:found:)`` for another number of elements; `self`
    ///   is then unchanged.
    public mutating func add(_ other: borrowing Matrix<Double>, times scale: Double = 1) throws(LinearAlgebraError) {
        try other.withSpan { (other: Span<Double>) throws(LinearAlgebraError) in
            try withMutableSpan { (sum: inout MutableSpan<Double>) throws(LinearAlgebraError) in
                try VectorOperations.add(other, times: scale, to: &sum)
            }
        }
    }

    /// Adds a number to every element of a square's diagonal.
    public mutating func addToDiagonal(_ value: Double) {
        for coordinate in 0..<min(rowCount, columnCount) { self[coordinate, coordinate] += value }
    }

    /// The Frobenius norm, summed row by row.
    /// - Throws: ``LinearAlgebraError/dimensionExceedsBLAS(dimension:)`` for a row that is too long.
    public borrowing func frobeniusNorm() throws(LinearAlgebraError) -> Double {
        let (rows, columns) = (rowCount, columnCount)
        return try withSpan { (elements: Span<Double>) throws(LinearAlgebraError) -> Double in
            var sum = 0.0
            for row in 0..<rows {
                let line = elements.extracting(row * columns..<(row + 1) * columns)
                sum += try VectorOperations.dot(line, line)
            }
            return sum.squareRoot()
        }
    }
}
