internal import CProductKernels

/// The processor's instructions for products of narrow rows; all give equal bits.
enum FusedInstructions: CaseIterable {
    /// AVX2 and FMA: Haswell and Zen, and later ones.
    case avx2
    /// AVX-512.
    case avx512

    /// The widest of this processor; nil without any.
    static var best: FusedInstructions? { allCases.last(where: \.isSupported) }

    /// Whether this processor has them.
    var isSupported: Bool { number <= kfacd_fused_instructions() }

    /// The kernel's number for them; a processor with one set has those with smaller numbers.
    var number: CInt {
        switch self {
        case .avx2: CInt(KFACD_FUSED_AVX2)
        case .avx512: CInt(KFACD_FUSED_AVX512)
        }
    }
}
