import KroneckerFactors
import LinearAlgebra

/// The sum of a factor whose rows are multiplied in fp64, by the BLAS of the machine's cores with every backend.
///
/// The operation asks for fp64, so its key says so, and every regime names the kernels of the BLAS.
struct DoubleAccumulator: ~Copyable, Sendable {
    private var workspace: FactorWorkspace<Double>
    private var sum: FactorAccumulation?

    init() throws(KroneckerFactorsError) {
        workspace = try FactorWorkspace(precision: Double.self)
        sum = nil
    }

    /// Begins a factor with an empty sum.
    ///
    /// - Throws: `KroneckerFactorsError` for an impossible shape or short memory.
    mutating func begin(_ shape: FactorShape) throws(KroneckerFactorsError) {
        sum = nil
        sum = try FactorAccumulation(
            columnCount: shape.columnCount, appendsOne: shape.appendsOne, reduction: shape.reduction)
    }

    /// Adds a chunk of captured rows.
    ///
    /// - Throws: What `FactorAccumulation` throws.
    mutating func add(rows: Range<Int>, of chunk: borrowing Matrix<Float>) throws(KroneckerFactorsError) {
        precondition(sum != nil, "rows are added before a factor is begun")
        try sum?.add(rows: rows, of: chunk, workspace: &workspace)
    }

    /// Adds rows that were reduced before.
    ///
    /// - Throws: What `FactorAccumulation` throws.
    mutating func add(rows: Range<Int>, of reduced: borrowing Matrix<Double>) throws(KroneckerFactorsError) {
        precondition(sum != nil, "rows are added before a factor is begun")
        try sum?.add(rows: rows, of: reduced, workspace: &workspace)
    }

    /// The sum itself, undivided.
    ///
    /// - Throws: `KroneckerFactorsError.noRows`, or `.squaresVanish` for rows whose squares vanish in fp32.
    mutating func finish() throws(KroneckerFactorsError) -> PackedSymmetricMatrix<Double> {
        guard let sum = sum.take(), sum.rowCount > 0 else { throw .noRows }
        try sum.requireSquares()
        return sum.finishPartial()
    }
}
