/// A symmetric matrix as its packed lower triangle (``PackedTriangle``), or as its diagonal: the form in which factors
/// are summed, stored and sent.
///
/// Its little-endian bytes are the blob.
public struct PackedSymmetricMatrix<Scalar: MatrixScalar>: ~Copyable, Sendable {
    /// The rows and columns, and the elements that are stored.
    public private(set) var shape: SymmetricShape
    var storage: AlignedStorage<Scalar>

    /// Makes the zero matrix.
    /// - Throws: ``LinearAlgebraError/invalidShape(rows:columns:)`` or ``LinearAlgebraError/outOfMemory(byteCount:)``.
    public init(shape: SymmetricShape) throws(LinearAlgebraError) {
        let storage = try AlignedStorage<Scalar>(zeros: shape.elementCount())
        self.storage = storage
        self.shape = shape
    }

    /// Makes the zero matrix with all elements.
    /// - Throws: As ``init(shape:)``.
    public init(dimension: Int) throws(LinearAlgebraError) { try self.init(shape: .full(dimension)) }

    /// Makes a matrix from its stored elements.
    /// - Throws: ``LinearAlgebraError/lengthMismatch(buffer:expected:found:)`` unless there are as many elements as the
    ///   shape stores, or any error of ``init(shape:)``.
    public init(shape: SymmetricShape, elements: [Scalar]) throws(LinearAlgebraError) {
        let expected = try shape.elementCount()
        let buffer = shape.isDiagonal ? "the diagonal" : "the packed triangle"
        try requireLength(buffer, expected: expected, found: elements.count)
        try self.init(shape: shape)
        _ = unsafe storage.mutableElements.update(from: elements)
    }

    /// Makes a matrix from its packed triangle.
    /// - Throws: As ``init(shape:elements:)``.
    public init(dimension: Int, elements: [Scalar]) throws(LinearAlgebraError) {
        try self.init(shape: .full(dimension), elements: elements)
    }

    /// Packs the lower triangle of a square matrix; the upper triangle is not read.
    /// - Throws: ``LinearAlgebraError/invalidShape(rows:columns:)`` unless `square` is square, or any error of
    ///   ``init(dimension:)``.
    @specialized(where Scalar == Float)
    @specialized(where Scalar == Double)
    public init(packing square: borrowing Matrix<Scalar>) throws(LinearAlgebraError) {
        guard square.rowCount == square.columnCount else {
            throw .invalidShape(rows: square.rowCount, columns: square.columnCount)
        }
        try self.init(dimension: square.rowCount)
        for row in 0..<dimension {
            let source = unsafe square.storage.base + row * dimension
            unsafe (storage.base + PackedTriangle.offset(ofRow: row)).update(from: source, count: row + 1)
        }
    }

    /// Becomes the zero matrix of a shape, in the same memory if that fits.
    ///
    /// Otherwise the old memory is released before the new one is taken.
    /// - Throws: As ``init(shape:)``; the matrix is then empty.
    public mutating func clear(as shape: SymmetricShape) throws(LinearAlgebraError) {
        let count = try shape.elementCount()
        if !storage.reset(count: count) {
            storage = try AlignedStorage(zeros: 0)
            self.shape = .full(0)
            // A factor of inputs has one row more than the layer's other factors.
            storage = try AlignedStorage(zeros: count, spare: count / 128)
        }
        self.shape = shape
    }

    /// Number of rows and of columns.
    public var dimension: Int { shape.dimension }

    /// Number of stored elements.
    public var elementCount: Int { storage.count }

    /// One element of the full matrix, from either triangle; for tests and rare cases, not for loops.
    ///
    /// An element off a diagonal is zero, and cannot be set.
    public subscript(row: Int, column: Int) -> Scalar {
        get {
            precondition(0..<dimension ~= row && 0..<dimension ~= column, "no element (\(row), \(column))")
            guard !shape.isDiagonal || row == column else { return 0 }
            return unsafe storage.base[offset(row, column)]
        }
        set {
            precondition(0..<dimension ~= row && 0..<dimension ~= column, "no element (\(row), \(column))")
            precondition(!shape.isDiagonal || row == column, "element (\(row), \(column)) is off the diagonal")
            unsafe storage.base[offset(row, column)] = newValue
        }
    }

    private func offset(_ row: Int, _ column: Int) -> Int {
        shape.isDiagonal ? row : PackedTriangle.offset(ofRow: max(row, column)) + min(row, column)
    }

    /// Throws unless another matrix has the same shape.
    func requireShape<Other>(
        of other: borrowing PackedSymmetricMatrix<Other>, _ name: String
    ) throws(LinearAlgebraError) {
        try requireLength("the side of \(name)", expected: dimension, found: other.dimension)
        try requireLength("the elements of \(name)", expected: elementCount, found: other.elementCount)
    }

    /// Throws unless all elements are stored.
    func requireTriangle() throws(LinearAlgebraError) {
        guard !shape.isDiagonal else { throw .invalidShape(rows: dimension, columns: 1) }
    }
}

// MARK: - Access to the elements

extension PackedSymmetricMatrix {
    /// Lends the packed elements.
    /// - Throws: What `body` throws.
    public borrowing func withSpan<Result: ~Copyable, Failure: Error>(
        _ body: (Span<Scalar>) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try body(unsafe storage.elements.span)
    }

    /// Lends the packed elements for writing.
    /// - Throws: What `body` throws; elements written before stay written.
    public mutating func withMutableSpan<Result: ~Copyable, Failure: Error>(
        _ body: (inout MutableSpan<Scalar>) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        var span = unsafe storage.mutableElements.mutableSpan
        return try body(&span)
    }

    /// Lends the packed elements' bytes, which are the blob.
    /// - Throws: What `body` throws.
    public borrowing func withBytes<Result: ~Copyable, Failure: Error>(
        _ body: (RawSpan) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try body(unsafe UnsafeRawBufferPointer(storage.elements).bytes)
    }

    /// Lends the packed elements' bytes for writing, so that a blob can be read in place.
    /// - Throws: What `body` throws; bytes written before stay written.
    public mutating func withMutableBytes<Result: ~Copyable, Failure: Error>(
        _ body: (inout MutableRawSpan) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        var bytes = unsafe UnsafeMutableRawBufferPointer(storage.mutableElements).mutableBytes
        return try body(&bytes)
    }

    /// The packed elements as an array.
    public var elements: [Scalar] { unsafe Array(storage.elements) }

    /// The diagonal.
    public var diagonal: [Scalar] {
        (0..<dimension).map { unsafe storage.base[shape.diagonalOffset($0)] }
    }

    /// The sum of the diagonal, in fp64.
    public var trace: Double {
        var sum = 0.0
        for row in 0..<dimension { sum += Double(unsafe storage.base[shape.diagonalOffset(row)]) }
        return sum
    }
}

// MARK: - Conversion

extension PackedSymmetricMatrix where Scalar == Double {
    /// The same matrix in fp64, exactly.
    /// - Throws: ``LinearAlgebraError/outOfMemory(byteCount:)``.
    public init(widening source: borrowing PackedSymmetricMatrix<Float>) throws(LinearAlgebraError) {
        try self.init(shape: source.shape)
        for index in 0..<elementCount {
            unsafe storage.base[index] = Double(source.storage.base[index])
        }
    }
}

extension PackedSymmetricMatrix where Scalar == Float {
    /// The same matrix in fp32, each element rounded once, to nearest even.
    /// - Throws: ``LinearAlgebraError/outOfMemory(byteCount:)``.
    public init(narrowing source: borrowing PackedSymmetricMatrix<Double>) throws(LinearAlgebraError) {
        try self.init(shape: source.shape)
        for index in 0..<elementCount {
            unsafe storage.base[index] = Float(source.storage.base[index])
        }
    }
}
