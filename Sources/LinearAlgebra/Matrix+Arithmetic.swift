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

    /// Multiplies every element.
    public mutating func multiply(by scale: Double) {
        guard scale != 1 else { return }
        withMutableSpan { span in
            for index in span.indices { span[index] *= scale }
        }
    }

    /// The same elements in memory of their own.
    /// - Throws: ``LinearAlgebraError/outOfMemory(byteCount:)``.
    public borrowing func copy() throws(LinearAlgebraError) -> Matrix<Double> {
        var copy = try Matrix<Double>(rows: rowCount, columns: columnCount)
        try copy.add(self)
        return copy
    }

    /// `Σ self · other`, element by element.
    /// - Throws: ``LinearAlgebraError/lengthMismatch(buffer:expected:found:)`` for another number of elements, or
    ///   ``LinearAlgebraError/dimensionExceedsBLAS(dimension:)``.
    public borrowing func dot(_ other: borrowing Matrix<Double>) throws(LinearAlgebraError) -> Double {
        try withSpan { (elements: Span<Double>) throws(LinearAlgebraError) in
            try other.withSpan { (other: Span<Double>) throws(LinearAlgebraError) in
                try VectorOperations.dot(elements, other)
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

extension Matrix {
    /// The side of the tiles that ``transposed()`` moves.
    ///
    /// A column of a tile stays in the first-level cache.
    private static var tile: Int { 32 }

    /// The transpose, `[columns, rows]`.
    /// - Throws: ``LinearAlgebraError/outOfMemory(byteCount:)``.
    @specialized(where Scalar == Float)
    @specialized(where Scalar == Double)
    public borrowing func transposed() throws(LinearAlgebraError) -> Matrix<Scalar> {
        let result = try Matrix<Scalar>(rows: columnCount, columns: rowCount)
        for first in stride(from: 0, to: rowCount, by: Self.tile) {
            let end = min(first + Self.tile, rowCount)
            for column in 0..<columnCount {
                let target = unsafe result.storage.base + column * rowCount
                for row in first..<end { unsafe target[row] = storage.base[row * columnCount + column] }
            }
        }
        return result
    }

    /// Some rows, in the given order, `[rows.count, columns]`.
    borrowing func selectingRows(_ rows: [Int]) throws(LinearAlgebraError) -> Matrix<Scalar> {
        let result = try Matrix<Scalar>(rows: rows.count, columns: columnCount)
        for (target, source) in rows.enumerated() {
            unsafe (result.storage.base + target * columnCount).update(
                from: storage.base + source * columnCount, count: columnCount)
        }
        return result
    }

    /// Throws unless all elements are finite.
    /// - Throws: ``LinearAlgebraError/nonFinite(row:)`` with the first row that holds NaN or infinity.
    borrowing func requireFinite() throws(LinearAlgebraError) {
        let flaw = withBytes { bytes in Scalar.elementType.firstNonFinite(in: bytes) }
        if let flaw { throw .nonFinite(row: flaw / columnCount) }
    }
}
