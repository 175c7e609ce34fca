internal import COpenBLAS

extension ElementType {
    /// `sum += weight · (elements − base)`, in fp32: one checkpoint's share of a merged range.
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
    public func addDifference(
        times weight: Float,
        of bytes: RawSpan,
        from base: Span<Float>,
        to sum: inout MutableSpan<Float>
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

    /// `sum += weight · (elements − base)`, in fp64: the same for ranges with an F64 operand.
    ///
    /// - Parameters:
    ///   - weight: The checkpoint's weight.
    ///   - bytes: count · ``byteCount`` bytes of the checkpoint, of any alignment.
    ///   - base: `[count]`, the base's values.
    ///   - sum: `[count]`.
    /// - Throws: ``LinearAlgebraError/byteCountMismatch(elementType:expected:found:)`` or
    ///   ``LinearAlgebraError/lengthMismatch(buffer:expected:found:)``; `sum` is then unchanged.
    public func addDifference(
        times weight: Double,
        of bytes: RawSpan,
        from base: Span<Double>,
        to sum: inout MutableSpan<Double>
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

    private func addDifference(
        _ weight: Float,
        _ source: UnsafeRawPointer,
        _ base: UnsafePointer<Float>,
        _ sum: UnsafeMutablePointer<Float>,
        count: Int
    ) {
        unsafe withUnsafeTemporaryAllocation(of: Float.self, capacity: Self.blockCount) { block in
            guard let block = block.baseAddress else { return }
            for first in stride(from: 0, to: count, by: Self.blockCount) {
                let length = min(Self.blockCount, count - first)
                unsafe decode(source + first * byteCount, into: block, count: length)
                unsafe kfacd_add_difference(weight, block, base + first, sum + first, length)
            }
        }
    }

    private func addDifference(
        _ weight: Double,
        _ source: UnsafeRawPointer,
        _ base: UnsafePointer<Double>,
        _ sum: UnsafeMutablePointer<Double>,
        count: Int
    ) {
        unsafe withUnsafeTemporaryAllocation(of: Double.self, capacity: Self.blockCount) { block in
            guard let block = block.baseAddress else { return }
            for first in stride(from: 0, to: count, by: Self.blockCount) {
                let length = min(Self.blockCount, count - first)
                unsafe decode(source + first * byteCount, into: block, count: length)
                let base = unsafe base + first
                let sum = unsafe sum + first
                for index in 0..<length { unsafe sum[index] += weight * (block[index] - base[index]) }
            }
        }
    }

    /// Writes `base + scale · sum`, computed in fp32 and rounded once.
    ///
    /// - Parameters:
    ///   - base: `[count]`.
    ///   - sum: `[count]`; overwritten with the values before rounding, which saves a buffer.
    ///   - scale: The factor of the whole sum.
    ///   - bytes: count · ``byteCount`` bytes, of any alignment; every byte is written.
    /// - Throws: ``LinearAlgebraError/byteCountMismatch(elementType:expected:found:)`` or
    ///   ``LinearAlgebraError/lengthMismatch(buffer:expected:found:)``; nothing is written then.
    public func encodeSum(
        base: Span<Float>,
        adding sum: inout MutableSpan<Float>,
        times scale: Float,
        into bytes: inout MutableRawSpan
    ) throws(LinearAlgebraError) {
        try requireBytes(bytes.byteCount, elements: sum.count)
        try requireLength("the base", expected: sum.count, found: base.count)
        unsafe base.withUnsafeBufferPointer { base in
            unsafe sum.withUnsafeMutableBufferPointer { sum in
                unsafe bytes.withUnsafeMutableBytes { bytes in
                    guard let base = base.baseAddress, let values = sum.baseAddress, let target = bytes.baseAddress
                    else { return }
                    for first in stride(from: 0, to: sum.count, by: Self.blockCount) {
                        let end = min(first + Self.blockCount, sum.count)
                        for index in first..<end { unsafe values[index] = base[index] + scale * values[index] }
                        unsafe encode(values + first, into: target + first * byteCount, count: end - first)
                    }
                }
            }
        }
    }

    /// Writes `base + scale · sum`, computed in fp64 and rounded once.
    ///
    /// - Parameters:
    ///   - base: `[count]`.
    ///   - sum: `[count]`; overwritten with the values before rounding, which saves a buffer.
    ///   - scale: The factor of the whole sum.
    ///   - bytes: count · ``byteCount`` bytes, of any alignment; every byte is written.
    /// - Throws: ``LinearAlgebraError/byteCountMismatch(elementType:expected:found:)`` or
    ///   ``LinearAlgebraError/lengthMismatch(buffer:expected:found:)``; nothing is written then.
    public func encodeSum(
        base: Span<Double>,
        adding sum: inout MutableSpan<Double>,
        times scale: Double,
        into bytes: inout MutableRawSpan
    ) throws(LinearAlgebraError) {
        try requireBytes(bytes.byteCount, elements: sum.count)
        try requireLength("the base", expected: sum.count, found: base.count)
        unsafe base.withUnsafeBufferPointer { base in
            unsafe sum.withUnsafeMutableBufferPointer { sum in
                unsafe bytes.withUnsafeMutableBytes { bytes in
                    guard let base = base.baseAddress, let values = sum.baseAddress, let target = bytes.baseAddress
                    else { return }
                    for first in stride(from: 0, to: sum.count, by: Self.blockCount) {
                        let end = min(first + Self.blockCount, sum.count)
                        for index in first..<end { unsafe values[index] = base[index] + scale * values[index] }
                        unsafe encode(values + first, into: target + first * byteCount, count: end - first)
                    }
                }
            }
        }
    }
}
