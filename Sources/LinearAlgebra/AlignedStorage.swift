internal import COpenBLAS

/// The only owner of a zeroed, 64-byte-aligned buffer of scalars, which is freed with it.
///
/// Sixty-four bytes are a cache line and the widest vector register, so no kernel's load crosses a line.
@safe struct AlignedStorage<Scalar: MatrixScalar>: ~Copyable {
    let base: UnsafeMutablePointer<Scalar>
    private(set) var count: Int
    private let capacity: Int

    /// Takes memory.
    ///
    /// - Parameters:
    ///   - count: The elements.
    ///   - spare: More elements, for ``reset(count:)``.
    /// - Throws: ``LinearAlgebraError/outOfMemory(byteCount:)``, ``LinearAlgebraError/invalidShape(rows:columns:)``.
    init(zeros count: Int, spare: Int = 0) throws(LinearAlgebraError) {
        let (capacity, isTooMany) = count.addingReportingOverflow(spare)
        let (byteCount, isTooLarge) = capacity.multipliedReportingOverflow(by: MemoryLayout<Scalar>.stride)
        let overflow = isTooMany || isTooLarge
        guard count >= 0, !overflow else { throw .invalidShape(rows: count, columns: 1) }
        guard let memory = unsafe kfacd_allocate_zeroed(byteCount) else { throw .outOfMemory(byteCount: byteCount) }
        unsafe base = memory.bindMemory(to: Scalar.self, capacity: count)
        self.count = count
        self.capacity = capacity
    }

    /// Makes all elements 0 and changes their number; false if the buffer is too small, or much too large.
    ///
    /// Faulting in fresh pages costs several times as much as this.
    mutating func reset(count: Int) -> Bool {
        guard count <= capacity, capacity - count <= capacity / 64 else { return false }
        // Bytes of 0 are a 0 of any scalar.
        unsafe UnsafeMutableRawPointer(base).initializeMemory(
            as: UInt8.self, repeating: 0, count: count * MemoryLayout<Scalar>.stride)
        self.count = count
        return true
    }

    deinit {
        unsafe kfacd_free_zeroed(base)
    }

    var elements: UnsafeBufferPointer<Scalar> { unsafe UnsafeBufferPointer(start: base, count: count) }

    var mutableElements: UnsafeMutableBufferPointer<Scalar> {
        mutating get { unsafe UnsafeMutableBufferPointer(start: base, count: count) }
    }
}

// Safe to send: the pointer is the only reference to its memory, and the type is not copyable.
extension AlignedStorage: @unchecked Sendable {}

/// A dimension or stride as BLAS's integer type.
func blasInteger(_ value: Int) throws(LinearAlgebraError) -> blasint {
    guard let integer = blasint(exactly: value) else { throw .dimensionExceedsBLAS(dimension: value) }
    return integer
}

/// Throws if an iterative LAPACK routine did not converge.
func requireSuccess(_ info: blasint, of routine: String) throws(LinearAlgebraError) {
    guard info >= 0 else { throw .lapackFailed(routine: routine, info: Int(info)) }
    guard info == 0 else { throw .notConverged(routine: routine, info: Int(info)) }
}

/// Throws unless a buffer holds exactly the expected number of elements.
func requireLength(_ buffer: String, expected: Int, found: Int) throws(LinearAlgebraError) {
    guard expected == found else { throw .lengthMismatch(buffer: buffer, expected: expected, found: found) }
}
