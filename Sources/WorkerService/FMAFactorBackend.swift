import LinearAlgebra
import UnitOperations

/// Factors of narrow rows by fused multiply-adds in a defined order, of wider ones by the BLAS (DESIGN section 2.6).
struct FMAFactorBackend: FactorBackend {
    private static let arithmetic = ProductArithmetic.fusedMultiplyAdd

    /// Whether this processor has the instructions.
    var isSupported = arithmetic.isSupported

    var name: String { "fma" }

    var regime: NumericRegime { NumericRegime(kernels: Self.arithmetic.ownKernels, elements: "fp32") }

    var suitsMachine: Bool { isSupported && Self.arithmetic.suitsKernels }

    func makeAccumulator() throws -> any FactorAccumulator & ~Copyable {
        guard isSupported else { throw MissingInstructions(backend: name, instructions: "AVX2 and FMA") }
        return try WorkspaceAccumulator(Self.arithmetic)
    }
}
