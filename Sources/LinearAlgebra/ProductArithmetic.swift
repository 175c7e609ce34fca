internal import CProductKernels

/// The arithmetic of ``SymmetricProduct`` in fp32.
public enum ProductArithmetic: Sendable {
    /// `?syrk` of the BLAS.
    case blas
    /// Fused multiply-adds in a defined order for rows of at most ``fusedColumnCountMax`` elements, else the BLAS.
    ///
    /// Rows are taken in blocks of 128. In a block each element begins with zero and takes one fused multiply-add for
    /// each row, in the rows' order. Sums of blocks are added in their order. So the bits are the same on every
    /// processor with the instructions, whatever their width.
    case fusedMultiplyAdd
    /// The processor's instruction for bfloat16 where every element of a chunk is exact in it, else
    /// ``fusedMultiplyAdd``.
    ///
    /// BF16 captures are exact, and so are F32 ones that were widened from bfloat16. Products of such elements are
    /// exact in fp32. They are added in blocks of 256 rows: of each two rows the second one's first, each addition
    /// rounded. So the bits are the same on every processor with the instruction. A subnormal element is not taken as
    /// exact.
    case exactBFloat16

    /// The fastest one that suits the processor and the kernels of the BLAS.
    public static var fastest: ProductArithmetic {
        [.exactBFloat16, .fusedMultiplyAdd].first { $0.isSupported && $0.suitsKernels } ?? .blas
    }

    /// The most elements of a row that is narrow: wider rows cost the BLAS little more than its arithmetic.
    public static let fusedColumnCountMax = 384

    /// Whether this processor can do it: bfloat16 needs AVX512-BF16, fused multiply-adds AVX2 and FMA.
    public var isSupported: Bool {
        switch self {
        case .blas: true
        case .fusedMultiplyAdd: FusedInstructions.best != nil
        case .exactBFloat16: kfacd_bfloat16_is_supported() != 0 && FusedInstructions.best != nil
        }
    }

    /// Whether the BLAS has kernels for processors that can do it, so that it is not to compute as on older ones.
    ///
    /// `OPENBLAS_CORETYPE` may have chosen older kernels, for equal bits on different processors.
    public var suitsKernels: Bool {
        let bfloat16 = ["cooperlake", "sapphirerapids"]
        let fused = ["haswell", "zen", "skylakex"] + bfloat16
        let kernels = BLASEnvironment.kernels.lowercased()
        return switch self {
        case .blas: true
        case .fusedMultiplyAdd: fused.contains(kernels)
        case .exactBFloat16: bfloat16.contains(kernels)
        }
    }

    /// The kernels besides those of the BLAS, as a numeric regime names them; empty if there are none.
    public var ownKernels: String {
        let fused = "FMA up to \(Self.fusedColumnCountMax) columns"
        return switch self {
        case .blas: ""
        case .fusedMultiplyAdd: fused
        case .exactBFloat16: "AVX512-BF16, \(fused)"
        }
    }

    /// Whether rows of `columnCount` elements are multiplied by fused multiply-adds, unless bfloat16 is exact.
    func fuses(columnCount: Int) -> Bool { self != .blas && columnCount <= Self.fusedColumnCountMax }

    /// Bytes of scratch for a product of rows of `columnCount` elements, beside its square.
    func scratchByteCount(columnCount: Int) -> Int {
        switch self {
        case .blas: 0
        case .fusedMultiplyAdd: fuses(columnCount: columnCount) ? Self.scratchByteCountMax(columnCount: columnCount) : 0
        case .exactBFloat16: Self.scratchByteCountMax(columnCount: columnCount)
        }
    }

    /// The most bytes of scratch for a product of rows of `columnCount` elements, beside its square.
    public static func scratchByteCountMax(columnCount: Int) -> Int {
        let bfloat16 = packedByteCount(
            columnCount, panel: KFACD_BFLOAT16_PANEL_COLUMNS, columnBytes: KFACD_BFLOAT16_BLOCK_ROWS * 2)
        let fused = packedByteCount(
            columnCount, panel: KFACD_FUSED_PANEL_COLUMNS, columnBytes: KFACD_FUSED_BLOCK_ROWS * 4)
        return columnCount <= fusedColumnCountMax ? max(bfloat16, fused) : bfloat16
    }

    /// Bytes of a block of rows in panels of columns.
    private static func packedByteCount(_ columnCount: Int, panel: Int, columnBytes: Int) -> Int {
        (columnCount / panel + 1).saturatingProduct(panel * columnBytes)
    }
}
