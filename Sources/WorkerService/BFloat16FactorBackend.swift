import LinearAlgebra
import UnitOperations

/// Factors of bfloat16 rows by the processor's instruction for them, of all others by the BLAS (DESIGN section 2.6).
struct BFloat16FactorBackend: FactorBackend {
    private static let arithmetic = ProductArithmetic.exactBFloat16

    var name: String { "bf16" }

    var regime: NumericRegime { NumericRegime(kernels: "AVX512-BF16", elements: "fp32, bf16 where exact") }

    var suitsMachine: Bool { Self.arithmetic.isSupported && Self.arithmetic.suitsKernels }

    func makeAccumulator() throws -> any FactorAccumulator & ~Copyable {
        guard Self.arithmetic.isSupported else { throw MissingInstructions(backend: name, instructions: "AVX512-BF16") }
        return try WorkspaceAccumulator(Self.arithmetic)
    }
}

/// Instructions that a backend needs and the processor lacks.
struct MissingInstructions: Error, CustomStringConvertible {
    let backend: String
    let instructions: String

    var description: String {
        "the backend \(backend) needs a processor with \(instructions), which this one lacks. Set backend to auto, "
            + "or start the worker on another machine."
    }
}
