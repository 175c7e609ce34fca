internal import COpenBLAS

extension ElementType {
    /// Writes values, each rounded once to nearest even; fp64 values are never rounded to fp32 first.
    ///
    /// Values beyond the type's range become infinity; NaN stays NaN.
    ///
    /// - Parameters:
    ///   - values: `[count]`.
    ///   - bytes: count · ``byteCount`` bytes, of any alignment; every byte is written.
    /// - Throws: ``LinearAlgebraError/byteCountMismatch(elementType:expected:found:)``; `bytes` is then unchanged.
    @specialized(where Scalar == Float)
    @specialized(where Scalar == Double)
    public func encode<Scalar: MatrixScalar>(
        _ values: Span<Scalar>,
        into bytes: inout MutableRawSpan
    ) throws(LinearAlgebraError) {
        try requireBytes(bytes.byteCount, elements: values.count)
        unsafe values.withUnsafeBufferPointer { source in
            unsafe bytes.withUnsafeMutableBytes { target in
                guard let base = source.baseAddress, let target = target.baseAddress else { return }
                unsafe Scalar.routines.encode(self, base, target, source.count)
            }
        }
    }

    func encode(_ source: UnsafePointer<Float>, into target: UnsafeMutableRawPointer, count: Int) {
        switch self {
        case .f64:
            for index in 0..<count {
                unsafe target.storeBytes(of: Double(source[index]), toByteOffset: 8 * index, as: Double.self)
            }
        case .f32:
            unsafe target.copyMemory(from: source, byteCount: 4 * count)
        case .f16:
            unsafe kfacd_float32_to_float16(source, target, count)
        case .bf16:
            unsafe kfacd_float32_to_bfloat16(source, target, count)
        }
    }

    func encode(_ source: UnsafePointer<Double>, into target: UnsafeMutableRawPointer, count: Int) {
        switch self {
        case .f64:
            unsafe target.copyMemory(from: source, byteCount: 8 * count)
        case .f32:
            for index in 0..<count {
                unsafe target.storeBytes(of: Float(source[index]), toByteOffset: 4 * index, as: Float.self)
            }
        case .f16, .bf16:
            unsafe withUnsafeTemporaryAllocation(of: Float.self, capacity: Self.blockCount) { block in
                guard let block = block.baseAddress else { return }
                for first in stride(from: 0, to: count, by: Self.blockCount) {
                    let length = min(Self.blockCount, count - first)
                    // Rounding the result to a type with at least two bits fewer gives the same as one rounding from
                    // fp64 (Boldo and Melquiond 2008, "Emulation of FMA and correctly rounded sums").
                    unsafe kfacd_round_to_odd(source + first, block, length)
                    unsafe encode(block, into: target + first * byteCount, count: length)
                }
            }
        }
    }
}
