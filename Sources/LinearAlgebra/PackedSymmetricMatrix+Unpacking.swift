extension PackedSymmetricMatrix {
    /// Rows of one block when a whole square is unpacked.
    ///
    /// Their columns stay in the first-level cache while the upper triangle is written transposed.
    private static var blockRows: Int { 16 }

    /// The full square, both triangles; a diagonal has none, because its square could be very large.
    /// - Throws: ``LinearAlgebraError/outOfMemory(byteCount:)``, ``LinearAlgebraError/invalidShape(rows:columns:)`` for
    ///   a diagonal.
    public func unpacked() throws(LinearAlgebraError) -> Matrix<Scalar> {
        try requireTriangle()
        let square = try Matrix<Scalar>(rows: dimension, columns: dimension)
        for first in stride(from: 0, to: dimension, by: Self.blockRows) {
            let rows = first..<min(first + Self.blockRows, dimension)
            unsafe unpack(rows, into: square.storage.base + first * dimension)
        }
        return square
    }

    /// Writes some rows of the full square, so that a large tensor can be written to a file in row blocks.
    ///
    /// - Parameters:
    ///   - rows: The rows to write, within `0..<dimension`.
    ///   - destination: `[rows.count, dimension]`, row-major; every element is written.
    /// - Throws: ``LinearAlgebraError/invalidShape(rows:columns:)`` for rows outside the matrix and for a diagonal,
    ///   ``LinearAlgebraError/lengthMismatch(buffer:expected:found:)`` for a buffer of another size; nothing is
    ///   written then.
    public func unpackRows(
        _ rows: Range<Int>,
        into destination: inout MutableSpan<Scalar>
    ) throws(LinearAlgebraError) {
        try requireTriangle()
        guard rows.lowerBound >= 0, rows.upperBound <= dimension else {
            throw .invalidShape(rows: rows.upperBound, columns: dimension)
        }
        try requireLength("the row buffer", expected: rows.count * dimension, found: destination.count)
        unsafe destination.withUnsafeMutableBufferPointer { buffer in
            guard let base = buffer.baseAddress else { return }
            unsafe unpack(rows, into: base)
        }
    }

    /// Takes the lower triangle of some rows of the full square, the reverse of ``unpackRows(_:into:)``.
    ///
    /// - Parameters:
    ///   - rows: The rows to take, within `0..<dimension`.
    ///   - source: `[at least rows.count, dimension]`; its first rows are these rows of the square.
    /// - Throws: ``LinearAlgebraError/invalidShape(rows:columns:)`` for rows outside the matrix or of another length,
    ///   and for a diagonal; nothing is taken then.
    public mutating func packRows(
        _ rows: Range<Int>, from source: borrowing Matrix<Scalar>
    ) throws(LinearAlgebraError) {
        try requireTriangle()
        guard rows.lowerBound >= 0, rows.upperBound <= dimension, source.columnCount == dimension,
            rows.count <= source.rowCount
        else { throw .invalidShape(rows: rows.upperBound, columns: source.columnCount) }
        for row in rows {
            unsafe (storage.base + PackedTriangle.offset(ofRow: row)).update(
                from: source.storage.base + (row - rows.lowerBound) * dimension, count: row + 1)
        }
    }

    @specialized(where Scalar == Float)
    @specialized(where Scalar == Double)
    private func unpack(_ rows: Range<Int>, into destination: UnsafeMutablePointer<Scalar>) {
        for row in rows {
            let source = unsafe storage.base + PackedTriangle.offset(ofRow: row)
            let target = unsafe destination + (row - rows.lowerBound) * dimension
            unsafe target.update(from: source, count: row + 1)
        }
        // The upper triangle of these rows equals these columns of the later rows: read along rows, write down columns.
        for row in rows.lowerBound..<dimension {
            let source = unsafe storage.base + PackedTriangle.offset(ofRow: row)
            for column in rows.lowerBound..<min(row, rows.upperBound) {
                unsafe destination[(column - rows.lowerBound) * dimension + row] = source[column]
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
