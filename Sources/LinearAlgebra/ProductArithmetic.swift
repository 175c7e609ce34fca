internal import CProductKernels

/// The arithmetic of ``SymmetricProduct`` in fp32.
public enum ProductArithmetic: Sendable {
    /// `?syrk` of the BLAS.
    case blas
    /// The processor's instruction for bfloat16 where every element of a chunk is exact in it, else the BLAS.
    ///
    /// BF16 captures are exact, and so are F32 ones that were widened from bfloat16. Products of such elements are
    /// exact in fp32. They are added in blocks of 256 rows: of each two rows the second one's first, each addition
    /// rounded. So the bits are the same on every processor with the instruction. A subnormal element is not taken as
    /// exact.
    case exactBFloat16

    /// Whether this processor can do it: bfloat16 needs AVX512-BF16.
    public var isSupported: Bool {
        switch self {
        case .blas: true
        case .exactBFloat16: kfacd_bfloat16_is_supported() != 0
        }
    }

    /// Whether the BLAS has kernels for processors that can do it, so that it is not to compute as on older ones.
    ///
    /// `OPENBLAS_CORETYPE` may have chosen older kernels, for equal bits on different processors.
    public var suitsKernels: Bool {
        switch self {
        case .blas: true
        case .exactBFloat16: ["cooperlake", "sapphirerapids"].contains(BLASEnvironment.kernels.lowercased())
        }
    }

    /// Bytes of scratch for a product of rows of `columnCount` elements, beside its square.
    func scratchByteCount(columnCount: Int) -> Int {
        switch self {
        case .blas: 0
        case .exactBFloat16: Self.scratchByteCountMax(columnCount: columnCount)
        }
    }

    /// The most bytes of scratch for a product of rows of `columnCount` elements, beside its square.
    public static func scratchByteCountMax(columnCount: Int) -> Int {
        let panel = KFACD_BFLOAT16_PANEL_COLUMNS
        let panels = columnCount / panel + 1
        return panels.saturatingProduct(panel * KFACD_BFLOAT16_BLOCK_ROWS * 2)
    }
}
