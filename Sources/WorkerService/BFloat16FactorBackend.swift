import LinearAlgebra
import UnitOperations

/// Factors of bfloat16 rows by the processor's instruction for them, of narrow rows by fused multiply-adds, of all
/// others by the BLAS (DESIGN section 2.6).
struct BFloat16FactorBackend: FactorBackend {
    private static let arithmetic = ProductArithmetic.exactBFloat16

    /// Whether this processor has the instructions.
    var isSupported = arithmetic.isSupported

    var name: String { "bf16" }

    var regime: NumericRegime {
        NumericRegime(kernels: Self.arithmetic.ownKernels, elements: "fp32, bf16 where exact")
    }

    var suitsMachine: Bool { isSupported && Self.arithmetic.suitsKernels }

    func makeAccumulator() throws -> any FactorAccumulator & ~Copyable {
        guard isSupported else { throw MissingInstructions(backend: name, instructions: "AVX512-BF16") }
        return try WorkspaceAccumulator(Self.arithmetic)
    }
}
