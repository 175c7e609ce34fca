import KroneckerFactors
import LinearAlgebra
import UnitOperations

/// Factors by the BLAS of the machine's cores: products in fp32, sums of chunks in fp64 (DESIGN section 2.6).
struct BLASFactorBackend: FactorBackend {
    var name: String { "blas" }

    var regime: NumericRegime { NumericRegime(kernels: BLASEnvironment.kernelFamily, elements: "fp32") }

    func makeAccumulator() throws -> any FactorAccumulator & ~Copyable { try BLASFactorAccumulator() }
}

/// `FactorAccumulation` with the scratch that a lane keeps.
struct BLASFactorAccumulator: ~Copyable, FactorAccumulator {
    private var workspace: FactorWorkspace
    private var sum: FactorAccumulation?

    init() throws(KroneckerFactorsError) {
        workspace = try FactorWorkspace()
        sum = nil
    }

    mutating func begin(_ shape: FactorShape) throws {
        // The old one is released first, because the planner's estimate does not include two of them.
        sum = nil
        sum = try FactorAccumulation(
            columnCount: shape.columnCount, appendsOne: shape.appendsOne, reduction: shape.reduction)
    }

    mutating func add(rows: Range<Int>, of chunk: borrowing Matrix<Float>) throws {
        precondition(sum != nil, "rows are added before a factor is begun")
        try sum?.add(rows: rows, of: chunk, workspace: &workspace)
    }

    mutating func finish(divisor: Double) throws -> PackedSymmetricMatrix<Float> {
        guard let sum = sum.take() else { throw KroneckerFactorsError.noRows }
        return try sum.finish(divisor: divisor)
    }

    mutating func finishPartial() throws -> PackedSymmetricMatrix<Double> {
        guard let sum = sum.take() else { throw KroneckerFactorsError.noRows }
        try sum.requireSquares()
        return sum.finishPartial()
    }

    mutating func pause() throws -> any PausedFactorSum {
        precondition(sum != nil, "a factor is paused before one is begun")
        return HeldFactorSum(sum.take())
    }

    mutating func resume(_ paused: any PausedFactorSum) throws {
        sum = nil
        sum = HeldFactorSum<FactorAccumulation>.take(from: paused)
    }
}
