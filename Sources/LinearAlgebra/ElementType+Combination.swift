internal import COpenBLAS

extension ElementType {
    /// `sum += weight · (elements − base)`, in the precision of the sum: the share of one checkpoint in a merged range.
    ///
    /// Elements are converted in registers, and F64 for a sum in fp32 block by block in the first-level cache. So the
    /// cost is that of reading them.
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
                    unsafe Scalar.routines.addDifference(self, weight, source, base, target, sum.count)
                }
            }
        }
    }

    func addDifference(
        _ weight: Float, _ source: UnsafeRawPointer, _ base: UnsafePointer<Float>, _ sum: UnsafeMutablePointer<Float>,
        count: Int
    ) {
        switch self {
        case .f16: unsafe kfacd_add_float16_difference(weight, source, base, sum, count)
        case .bf16: unsafe kfacd_add_bfloat16_difference(weight, source, base, sum, count)
        case .f32: unsafe kfacd_add_difference(weight, source, base, sum, count)
        case .f64:
            unsafe forEachDecodedBlock(source, count: count) { block, first, length in
                unsafe kfacd_add_difference(weight, block, base + first, sum + first, length)
            }
        }
    }

    func addDifference(
        _ weight: Double, _ source: UnsafeRawPointer, _ base: UnsafePointer<Double>,
        _ sum: UnsafeMutablePointer<Double>, count: Int
    ) {
        switch self {
        case .f16: unsafe kfacd_add_float16_wide_difference(weight, source, base, sum, count)
        case .bf16: unsafe kfacd_add_bfloat16_wide_difference(weight, source, base, sum, count)
        case .f32: unsafe kfacd_add_float32_wide_difference(weight, source, base, sum, count)
        case .f64: unsafe kfacd_add_wide_difference(weight, source, base, sum, count)
        }
    }

    /// Decodes elements block by block; `body` takes a block, its first element and its length.
    @inline(__always)
    private func forEachDecodedBlock(
        _ source: UnsafeRawPointer, count: Int, _ body: (UnsafePointer<Float>, Int, Int) -> Void
    ) {
        unsafe withUnsafeTemporaryAllocation(of: Float.self, capacity: Self.blockCount) { block in
            guard let block = block.baseAddress else { return }
            for first in stride(from: 0, to: count, by: Self.blockCount) {
                let length = min(Self.blockCount, count - first)
                unsafe decode(source + first * byteCount, into: block, count: length)
                unsafe body(block, first, length)
            }
        }
    }

    /// Writes `base + scale · sum`, computed in the precision of the sum and rounded once.
    ///
    /// In fp64 the base keeps the sign of a zero where nothing is added.
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
                    let routines = Scalar.routines
                    for first in stride(from: 0, to: sum.count, by: Self.blockCount) {
                        let length = min(Self.blockCount, sum.count - first)
                        unsafe routines.scaleAndAdd(scale, base + first, values + first, length)
                        unsafe routines.encode(self, values + first, target + first * byteCount, length)
                    }
                }
            }
        }
    }
}
