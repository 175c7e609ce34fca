/// A block of rows of a full square whose lower triangle is packed: for writing the square to a file, block by block.
public struct SquareRows: ~Copyable {
    /// Rows and columns of the square.
    public let dimension: Int
    /// The rows of each block, in their order.
    public let parts: [Range<Int>]
    private var block: Matrix<Float>

    /// Takes memory for the largest block.
    ///
    /// - Parameters:
    ///   - dimension: Rows and columns of the square.
    ///   - byteCountMax: The bytes of a block; one row is more, if need be.
    /// - Throws: ``LinearAlgebraError/outOfMemory(byteCount:)``.
    public init(dimension: Int, byteCountMax: Int) throws(LinearAlgebraError) {
        let rowBytes = dimension * ElementType.f32.byteCount
        let rows = max(1, min(dimension, byteCountMax / max(1, rowBytes)))
        block = try Matrix<Float>(rows: rows, columns: dimension)
        self.dimension = dimension
        parts = stride(from: 0, to: dimension, by: rows).map { $0..<min(dimension, $0 + rows) }
    }

    /// Sets a block to rows of a matrix.
    ///
    /// - Parameters:
    ///   - rows: One of ``parts``.
    ///   - matrix: A triangle of ``dimension``.
    /// - Throws: ``LinearAlgebraError/invalidShape(rows:columns:)`` for rows outside, another matrix, or a diagonal.
    public mutating func fill(
        _ rows: Range<Int>, of matrix: borrowing PackedSymmetricMatrix<Float>
    ) throws(LinearAlgebraError) {
        guard !matrix.shape.isDiagonal, matrix.dimension == dimension else {
            throw .invalidShape(rows: matrix.dimension, columns: dimension)
        }
        try requireRows(rows)
        unsafe matrix.unpack(rows, into: block.storage.base)
    }

    /// Sets a block to packed rows, up to the last diagonal element; ``mirror(_:columns:_:)`` sets the rest.
    ///
    /// - Parameters:
    ///   - rows: One of ``parts``.
    ///   - packed: The rows of the packed triangle.
    /// - Throws: ``LinearAlgebraError/lengthMismatch(buffer:expected:found:)`` or
    ///   ``LinearAlgebraError/invalidShape(rows:columns:)``.
    public mutating func fill(_ rows: Range<Int>, packed: Span<Float>) throws(LinearAlgebraError) {
        try requireRows(rows)
        let (start, end) = (
            PackedTriangle.offset(ofRow: rows.lowerBound), PackedTriangle.offset(ofRow: rows.upperBound)
        )
        try requireLength("packed rows", expected: end - start, found: packed.count)
        unsafe packed.withUnsafeBufferPointer { packed in
            guard let source = packed.baseAddress else { return }
            unsafe PackedSymmetricMatrix.unpack(rows, of: dimension, from: source, into: block.storage.base)
        }
    }

    /// Sets elements of a block above the diagonal, which later rows hold below it.
    ///
    /// - Parameters:
    ///   - lines: Rows of the square after the block.
    ///   - rows: The block, one of ``parts``.
    ///   - elements: `[lines.count, rows.count]`, of these lines the columns `rows`.
    /// - Throws: ``LinearAlgebraError/lengthMismatch(buffer:expected:found:)`` or
    ///   ``LinearAlgebraError/invalidShape(rows:columns:)``.
    public mutating func mirror(
        _ lines: Range<Int>, columns rows: Range<Int>, _ elements: Span<Float>
    ) throws(LinearAlgebraError) {
        try requireRows(rows)
        guard lines.lowerBound >= rows.upperBound, lines.upperBound <= dimension else {
            throw .invalidShape(rows: lines.upperBound, columns: dimension)
        }
        try requireLength("later rows", expected: lines.count * rows.count, found: elements.count)
        unsafe elements.withUnsafeBufferPointer { elements in
            guard let source = elements.baseAddress else { return }
            unsafe Float.routines.mirror(
                source, rows.count, 0, lines.count, rows.count, block.storage.base + lines.lowerBound, dimension)
        }
    }

    /// Lends the bytes of a block, and their place among the bytes of the square.
    ///
    /// - Throws: What `body` throws.
    public borrowing func withBytes<Failure: Error>(
        of rows: Range<Int>, _ body: (_ bytes: RawSpan, _ offset: Int) throws(Failure) -> Void
    ) throws(Failure) {
        let rowBytes = dimension * ElementType.f32.byteCount
        precondition(rows.count <= block.rowCount, "a block of \(rows.count) of at most \(block.rowCount) rows")
        try block.withBytes { (bytes: RawSpan) throws(Failure) in
            try body(bytes.extracting(first: rows.count * rowBytes), rows.lowerBound * rowBytes)
        }
    }

    private func requireRows(_ rows: Range<Int>) throws(LinearAlgebraError) {
        guard rows.lowerBound >= 0, rows.upperBound <= dimension, rows.count <= block.rowCount else {
            throw .invalidShape(rows: rows.upperBound, columns: dimension)
        }
    }
}
