internal import COpenBLAS

extension ElementType {
    /// The number of elements converted at a time, in a buffer that stays in the first-level cache.
    static let blockCount = 4096

    /// Reads elements as fp64 or fp32.
    ///
    /// All types convert exactly to fp64. F32, F16 and BF16 convert exactly to fp32; F64 is rounded to nearest even.
    ///
    /// - Parameters:
    ///   - bytes: count · ``byteCount`` bytes, little-endian, of any alignment.
    ///   - destination: `[count]`.
    /// - Throws: ``LinearAlgebraError/byteCountMismatch(elementType:expected:found:)``; `destination` is then
    ///   unchanged.
    @specialized(where Scalar == Float)
    @specialized(where Scalar == Double)
    public func decode<Scalar: MatrixScalar>(
        _ bytes: RawSpan,
        into destination: inout MutableSpan<Scalar>
    ) throws(LinearAlgebraError) {
        try requireBytes(bytes.byteCount, elements: destination.count)
        unsafe bytes.withUnsafeBytes { source in
            unsafe destination.withUnsafeMutableBufferPointer { target in
                guard let source = source.baseAddress, let base = target.baseAddress else { return }
                unsafe Scalar.routines.decode(self, source, base, target.count)
            }
        }
    }

    func decode(_ source: UnsafeRawPointer, into target: UnsafeMutablePointer<Float>, count: Int) {
        switch self {
        case .f64:
            for index in 0..<count {
                unsafe target[index] = Float(source.loadUnaligned(fromByteOffset: 8 * index, as: Double.self))
            }
        case .f32:
            unsafe UnsafeMutableRawPointer(target).copyMemory(from: source, byteCount: 4 * count)
        case .f16:
            unsafe kfacd_float16_to_float32(source, target, count)
        case .bf16:
            unsafe kfacd_bfloat16_to_float32(source, target, count)
        }
    }

    func decode(_ source: UnsafeRawPointer, into target: UnsafeMutablePointer<Double>, count: Int) {
        switch self {
        case .f64: unsafe UnsafeMutableRawPointer(target).copyMemory(from: source, byteCount: 8 * count)
        case .f32: unsafe kfacd_float32_to_float64(source, target, count)
        case .f16: unsafe kfacd_float16_to_float64(source, target, count)
        case .bf16: unsafe kfacd_bfloat16_to_float64(source, target, count)
        }
    }
}
