/// A dense matrix that owns its elements: `[rows, columns]`, row-major, 64-byte-aligned.
///
/// `[r, d]` always means r rows of d consecutive elements in this code base: element (i, j) is at `i · d + j`. LAPACK
/// and Fortran BLAS store by column, so they see the same memory as the transpose: a lower triangle here is their `U`,
/// and a symmetric matrix is itself. Only this module passes such letters.
///
/// The type is not copyable, so that a 40 MB buffer is never duplicated by accident. Lend it with `borrowing`; give it
/// away with `consuming`.
public struct Matrix<Scalar: MatrixScalar>: ~Copyable, Sendable {
    /// Number of rows.
    public let rowCount: Int
    /// Number of columns, which is also the distance in elements between rows.
    public let columnCount: Int
    var storage: AlignedStorage<Scalar>

    /// Makes a matrix of zeros.
    ///
    /// Large buffers are the kernel's zero pages, so filling one from a file needs no extra pass.
    /// - Throws: ``LinearAlgebraError/invalidShape(rows:columns:)`` or ``LinearAlgebraError/outOfMemory(byteCount:)``;
    ///   nothing stays allocated.
    public init(rows: Int, columns: Int) throws(LinearAlgebraError) {
        let (count, overflow) = rows.multipliedReportingOverflow(by: columns)
        guard rows >= 0, columns >= 0, !overflow, count <= Int.max / 16 else {
            throw .invalidShape(rows: rows, columns: columns)
        }
        let storage = try AlignedStorage<Scalar>(zeros: count)
        self.storage = storage
        rowCount = rows
        columnCount = columns
    }

    /// Makes a matrix with the given elements, row by row.
    /// - Throws: ``LinearAlgebraError/lengthMismatch(buffer:expected:found:)`` unless there are rows · columns
    ///   elements, or any error of ``init(rows:columns:)``.
    public init(rows: Int, columns: Int, elements: [Scalar]) throws(LinearAlgebraError) {
        let (count, overflow) = rows.multipliedReportingOverflow(by: columns)
        try requireLength("the element list", expected: overflow ? -1 : count, found: elements.count)
        try self.init(rows: rows, columns: columns)
        _ = unsafe storage.mutableElements.update(from: elements)
    }

    private init(rows: Int, columns: Int, storage: consuming AlignedStorage<Scalar>) {
        self.storage = storage
        rowCount = rows
        columnCount = columns
    }

    /// The same elements in rows of another length, without a copy.
    /// - Throws: ``LinearAlgebraError/lengthMismatch(buffer:expected:found:)`` unless there are rows · columns
    ///   elements.
    public consuming func reshaped(rows: Int, columns: Int) throws(LinearAlgebraError) -> Matrix<Scalar> {
        let (count, overflow) = rows.multipliedReportingOverflow(by: columns)
        try requireLength("the reshaped matrix", expected: overflow ? -1 : count, found: elementCount)
        return Matrix(rows: rows, columns: columns, storage: storage)
    }

    /// Number of elements.
    public var elementCount: Int { rowCount * columnCount }

    /// One element; for tests and rare cases, not for loops.
    public subscript(row: Int, column: Int) -> Scalar {
        get {
            precondition(0..<rowCount ~= row && 0..<columnCount ~= column, "no element (\(row), \(column))")
            return unsafe storage.base[row * columnCount + column]
        }
        set {
            precondition(0..<rowCount ~= row && 0..<columnCount ~= column, "no element (\(row), \(column))")
            unsafe storage.base[row * columnCount + column] = newValue
        }
    }
}

// MARK: - Access to the elements

extension Matrix {
    /// Lends all elements, row by row.
    /// - Throws: What `body` throws.
    public borrowing func withSpan<Result: ~Copyable, Failure: Error>(
        _ body: (Span<Scalar>) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try body(unsafe storage.elements.span)
    }

    /// Lends all elements, row by row, for writing.
    /// - Throws: What `body` throws; elements written before stay written.
    public mutating func withMutableSpan<Result: ~Copyable, Failure: Error>(
        _ body: (inout MutableSpan<Scalar>) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        var span = unsafe storage.mutableElements.mutableSpan
        return try body(&span)
    }

    /// Lends the first elements for writing, for a buffer that is larger than its content.
    ///
    /// - Parameters:
    ///   - count: The number of elements, at most ``elementCount``; more is an error of the caller.
    ///   - body: Receives them.
    /// - Returns: What `body` returns.
    /// - Throws: What `body` throws; elements written before stay written.
    public mutating func withMutablePrefix<Result: ~Copyable, Failure: Error>(
        _ count: Int,
        _ body: (inout MutableSpan<Scalar>) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        precondition(0...elementCount ~= count, "a prefix of \(count) of \(elementCount) elements")
        var span = unsafe UnsafeMutableBufferPointer(start: storage.base, count: count).mutableSpan
        return try body(&span)
    }

    /// Sets the first elements to 0.
    ///
    /// - Parameter count: The number of elements, at most ``elementCount``; more is an error of the caller.
    public mutating func clearPrefix(_ count: Int) {
        precondition(0...elementCount ~= count, "a prefix of \(count) of \(elementCount) elements")
        // Bytes of 0 are a 0 of any scalar, so this is one fill of memory, whether or not the call is specialised.
        let bytes = unsafe UnsafeMutableRawBufferPointer(
            start: storage.base, count: count * MemoryLayout<Scalar>.stride)
        unsafe bytes.initializeMemory(as: UInt8.self, repeating: 0)
    }

    /// Lends the elements' bytes, in the machine's (little-endian) order.
    /// - Throws: What `body` throws.
    public borrowing func withBytes<Result: ~Copyable, Failure: Error>(
        _ body: (RawSpan) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try body(unsafe UnsafeRawBufferPointer(storage.elements).bytes)
    }

    /// Lends the elements' bytes for writing, so that a reader can fill the matrix without a copy.
    /// - Throws: What `body` throws; bytes written before stay written.
    public mutating func withMutableBytes<Result: ~Copyable, Failure: Error>(
        _ body: (inout MutableRawSpan) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        var bytes = unsafe UnsafeMutableRawBufferPointer(storage.mutableElements).mutableBytes
        return try body(&bytes)
    }

    /// All elements, row by row, as an array.
    public var elements: [Scalar] { unsafe Array(storage.elements) }
}

// MARK: - Conversion

extension Matrix where Scalar == Double {
    /// The same matrix in fp64, exactly.
    /// - Throws: ``LinearAlgebraError/outOfMemory(byteCount:)``.
    public init(widening source: borrowing Matrix<Float>) throws(LinearAlgebraError) {
        try self.init(rows: source.rowCount, columns: source.columnCount)
        for index in 0..<elementCount {
            unsafe storage.base[index] = Double(source.storage.base[index])
        }
    }
}

extension Matrix where Scalar == Float {
    /// The same matrix in fp32, each element rounded to nearest even.
    /// - Throws: ``LinearAlgebraError/outOfMemory(byteCount:)``.
    public init(narrowing source: borrowing Matrix<Double>) throws(LinearAlgebraError) {
        try self.init(rows: source.rowCount, columns: source.columnCount)
        for index in 0..<elementCount {
            unsafe storage.base[index] = Float(source.storage.base[index])
        }
    }
}
