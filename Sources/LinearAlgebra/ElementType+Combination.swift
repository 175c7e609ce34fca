extension ElementType {
    /// `sum += weight · (elements − base)`, in the precision of the sum: the share of one checkpoint in a merged range.
    ///
    /// The elements go through a block in the first-level cache, so the cost is that of reading them.
    ///
    /// - Parameters:
    ///   - weight: The checkpoint's weight.
    ///   - bytes: count · ``byteCount`` bytes of the checkpoint, of any alignment.
    ///   - base: `[count]`, the base's values.
    ///   - sum: `[count]`.
    /// - Throws: ``LinearAlgebraError/byteCountMismatch(elementType:expected:found:)`` or
    ///   ``LinearAlgebraError/lengthMismatch(buffer:expected:found:)``; `sum` is then unchanged.
    @specialized(where Scalar == Float)
    @specialized(where Scalar == Double)
    public func addDifference<Scalar: MatrixScalar>(
        times weight: Scalar,
        of bytes: RawSpan,
        from base: Span<Scalar>,
        to sum: inout MutableSpan<Scalar>
    ) throws(LinearAlgebraError) {
        try requireBytes(bytes.byteCount, elements: sum.count)
        try requireLength("the base", expected: sum.count, found: base.count)
        unsafe bytes.withUnsafeBytes { bytes in
            unsafe base.withUnsafeBufferPointer { base in
                unsafe sum.withUnsafeMutableBufferPointer { sum in
                    guard let source = bytes.baseAddress, let base = base.baseAddress, let target = sum.baseAddress
                    else { return }
                    unsafe addDifference(weight, source, base, target, count: sum.count)
                }
            }
        }
    }

    @specialized(where Scalar == Float)
    @specialized(where Scalar == Double)
    private func addDifference<Scalar: MatrixScalar>(
        _ weight: Scalar,
        _ source: UnsafeRawPointer,
        _ base: UnsafePointer<Scalar>,
        _ sum: UnsafeMutablePointer<Scalar>,
        count: Int
    ) {
        let routines = Scalar.routines
        unsafe withUnsafeTemporaryAllocation(of: Scalar.self, capacity: Self.blockCount) { block in
            guard let block = block.baseAddress else { return }
            for first in stride(from: 0, to: count, by: Self.blockCount) {
                let length = min(Self.blockCount, count - first)
                unsafe routines.decode(self, source + first * byteCount, block, length)
                unsafe routines.addDifference(weight, block, base + first, sum + first, length)
            }
        }
    }

    /// Writes `base + scale · sum`, computed in the precision of the sum and rounded once.
    ///
    /// - Parameters:
    ///   - base: `[count]`.
    ///   - sum: `[count]`; overwritten with the values before rounding, which saves a buffer.
    ///   - scale: The factor of the whole sum.
    ///   - bytes: count · ``byteCount`` bytes, of any alignment; every byte is written.
    /// - Throws: ``LinearAlgebraError/byteCountMismatch(elementType:expected:found:)`` or
    ///   ``LinearAlgebraError/lengthMismatch(buffer:expected:found:)``; nothing is written then.
    @specialized(where Scalar == Float)
    @specialized(where Scalar == Double)
    public func encodeSum<Scalar: MatrixScalar>(
        base: Span<Scalar>,
        adding sum: inout MutableSpan<Scalar>,
        times scale: Scalar,
        into bytes: inout MutableRawSpan
    ) throws(LinearAlgebraError) {
        try requireBytes(bytes.byteCount, elements: sum.count)
        try requireLength("the base", expected: sum.count, found: base.count)
        unsafe base.withUnsafeBufferPointer { base in
            unsafe sum.withUnsafeMutableBufferPointer { sum in
                unsafe bytes.withUnsafeMutableBytes { bytes in
                    guard let base = base.baseAddress, let values = sum.baseAddress, let target = bytes.baseAddress
                    else { return }
                    let encode = unsafe Scalar.routines.encode
                    for first in stride(from: 0, to: sum.count, by: Self.blockCount) {
                        let length = min(Self.blockCount, sum.count - first)
                        unsafe scaleAndAdd(base + first, scale, values + first, count: length)
                        unsafe encode(self, values + first, target + first * byteCount, length)
                    }
                }
            }
        }
    }
}

/// `sum = base + scale · sum`.
@specialized(where Scalar == Float)
@specialized(where Scalar == Double)
private func scaleAndAdd<Scalar: MatrixScalar>(
    _ base: UnsafePointer<Scalar>,
    _ scale: Scalar,
    _ sum: UnsafeMutablePointer<Scalar>,
    count: Int
) {
    for index in 0..<count { unsafe sum[index] = base[index] + scale * sum[index] }
}
