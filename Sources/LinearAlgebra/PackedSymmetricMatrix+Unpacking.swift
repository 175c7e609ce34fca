extension PackedSymmetricMatrix {
    /// Rows of one block when rows are unpacked.
    private static var blockRows: Int { 16 }

    /// The full square, both triangles; a diagonal has none, because its square could be very large.
    /// - Throws: ``LinearAlgebraError/outOfMemory(byteCount:)``, ``LinearAlgebraError/invalidShape(rows:columns:)`` for
    ///   a diagonal.
    public func unpacked() throws(LinearAlgebraError) -> Matrix<Scalar> {
        try requireTriangle()
        let square = try Matrix<Scalar>(rows: dimension, columns: dimension)
        unsafe unpack(0..<dimension, into: square.storage.base)
        return square
    }

    /// Writes rows of the full square.
    ///
    /// - Parameters:
    ///   - rows: Within `0..<dimension`.
    ///   - destination: Of `rows.count · dimension` elements.
    func unpack(_ rows: Range<Int>, into destination: UnsafeMutablePointer<Scalar>) {
        unsafe Self.unpack(
            rows, of: dimension, from: storage.base + PackedTriangle.offset(ofRow: rows.lowerBound), into: destination)
        let rest = rows.upperBound
        guard rest < dimension else { return }
        let source = unsafe storage.base + PackedTriangle.offset(ofRow: rest) + rows.lowerBound
        unsafe Scalar.routines.mirror(
            source, rest + 1, 1, dimension - rest, rows.count, destination + rest, dimension)
    }

    /// Writes rows of a full square up to their last diagonal element, from the packed rows alone.
    static func unpack(
        _ rows: Range<Int>, of dimension: Int, from packed: UnsafePointer<Scalar>,
        into destination: UnsafeMutablePointer<Scalar>
    ) {
        var source = unsafe packed
        for first in stride(from: rows.lowerBound, to: rows.upperBound, by: blockRows) {
            let lines = first..<min(first + blockRows, rows.upperBound)
            unsafe Scalar.routines.mirror(
                source + rows.lowerBound, first + 1, 1, lines.count, first - rows.lowerBound, destination + first,
                dimension)
            for row in lines {
                let target = unsafe destination + (row - rows.lowerBound) * dimension
                unsafe target.update(from: source, count: row + 1)
                for column in first..<row {
                    unsafe destination[(column - rows.lowerBound) * dimension + row] = source[column]
                }
                unsafe source += row + 1
            }
        }
    }
}

extension PackedSymmetricMatrix {
    /// The lower triangle of a square in fp64, times `scale`; the upper triangle stays zero.
    ///
    /// Cholesky, `dsymm` and `dsyevd` read only this triangle.
    /// - Throws: ``LinearAlgebraError/outOfMemory(byteCount:)``, ``LinearAlgebraError/invalidShape(rows:columns:)`` for
    ///   a diagonal; products take ``operand()``.
    @specialized(where Scalar == Float)
    @specialized(where Scalar == Double)
    public func unpackedLower(times scale: Double = 1) throws(LinearAlgebraError) -> Matrix<Double> {
        try requireTriangle()
        let square = try Matrix<Double>(rows: dimension, columns: dimension)
        for row in 0..<dimension {
            let source = unsafe storage.base + PackedTriangle.offset(ofRow: row)
            let target = unsafe square.storage.base + row * dimension
            for column in 0...row { unsafe target[column] = Double(source[column]) * scale }
        }
        return square
    }

    /// The lower triangle of `self − mean` as a square in fp64; the upper triangle stays zero.
    /// - Throws: ``LinearAlgebraError/lengthMismatch(buffer:expected:found:)`` for unequal shapes, or
    ///   the errors of ``unpackedLower(times:)``.
    @specialized(where Scalar == Float)
    @specialized(where Scalar == Double)
    public func unpackedLower(
        minus mean: borrowing PackedSymmetricMatrix<Double>
    ) throws(LinearAlgebraError) -> Matrix<Double> {
        try requireTriangle()
        try requireShape(of: mean, "a subtracted mean")
        let square = try Matrix<Double>(rows: dimension, columns: dimension)
        for row in 0..<dimension {
            let offset = PackedTriangle.offset(ofRow: row)
            let source = unsafe storage.base + offset
            let subtrahend = unsafe mean.storage.base + offset
            let target = unsafe square.storage.base + row * dimension
            for column in 0...row { unsafe target[column] = Double(source[column]) - subtrahend[column] }
        }
        return square
    }

    /// The first row of the stored elements that holds NaN or infinity; nil when all are finite.
    @specialized(where Scalar == Float)
    @specialized(where Scalar == Double)
    public func firstNonFiniteRow() -> Int? {
        guard !shape.isDiagonal else {
            return (0..<dimension).first { !(unsafe storage.base[$0].isFinite) }
        }
        for row in 0..<dimension {
            let elements = unsafe storage.base + PackedTriangle.offset(ofRow: row)
            // An integer flag instead of an early exit keeps this a vector loop.
            var flaws = 0
            for column in 0...row { flaws |= unsafe elements[column].isFinite ? 0 : 1 }
            if flaws != 0 { return row }
        }
        return nil
    }
}

extension PackedSymmetricMatrix where Scalar == Float {
    /// Packs `scale` times the lower triangle of an fp64 square, each element rounded once; the upper triangle is not
    /// read.
    /// - Throws: ``LinearAlgebraError/invalidShape(rows:columns:)`` unless `square` is square, or
    ///   ``LinearAlgebraError/outOfMemory(byteCount:)``.
    public init(packing square: borrowing Matrix<Double>, times scale: Double) throws(LinearAlgebraError) {
        guard square.rowCount == square.columnCount else {
            throw .invalidShape(rows: square.rowCount, columns: square.columnCount)
        }
        try self.init(dimension: square.rowCount)
        for row in 0..<dimension {
            let source = unsafe square.storage.base + row * dimension
            let target = unsafe storage.base + PackedTriangle.offset(ofRow: row)
            for column in 0...row { unsafe target[column] = Float(source[column] * scale) }
        }
    }
}
