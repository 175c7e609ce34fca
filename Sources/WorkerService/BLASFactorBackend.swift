import KroneckerFactors
import LinearAlgebra
import UnitOperations

/// Factors by the BLAS of the machine's cores: products in fp32, sums of chunks in fp64 (DESIGN section 2.6).
struct BLASFactorBackend: FactorBackend {
    var name: String { "blas" }

    var regime: NumericRegime { NumericRegime(kernels: BLASEnvironment.kernelFamily, elements: "fp32") }

    var suitsMachine: Bool { true }

    func makeAccumulator() throws -> any FactorAccumulator & ~Copyable { try WorkspaceAccumulator(.blas) }
}
