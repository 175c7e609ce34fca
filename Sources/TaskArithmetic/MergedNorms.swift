import LinearAlgebra

/// The norm of a merged vector, and that of the weighted mean of the same task vectors.
public struct MergedNorms: Equatable, Sendable {
    /// ‖Δ‖.
    public let merged: Double
    /// ‖Σ λ_t Δ_t‖.
    public let mean: Double

    /// Takes two measured norms.
    init(merged: Double, mean: Double) {
        self.merged = merged
        self.mean = mean
    }

    /// Adds the factors' change to a mean, and measures both norms.
    init(adding change: borrowing Matrix<Double>, to vector: inout Matrix<Double>) throws(TaskArithmeticError) {
        do {
            mean = try vector.frobeniusNorm()
            try vector.add(change)
            merged = try vector.frobeniusNorm()
        } catch {
            throw .linearAlgebra(error)
        }
    }
}
