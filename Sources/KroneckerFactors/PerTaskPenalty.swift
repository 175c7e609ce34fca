public import LinearAlgebra

/// The regularizer before accumulation, Ω(Δ) = Σ λ_t tr(B_t Δ A_t Δᵀ), one task at a time.
///
/// Source: eq. 7. Its cost grows with the number of tasks; it is what the accumulated form (eq. 8) approximates.
public struct PerTaskPenalty: Sendable {
    /// Ω(Δ) over the tasks added so far.
    public private(set) var value = 0.0

    /// No task yet.
    public init() {}

    /// Adds one task's term for a layer.
    ///
    /// - Parameters:
    ///   - lambda: λ_t.
    ///   - penalty: The task's own factors.
    ///   - delta: Δ, the same for every task.
    /// - Throws: ``KroneckerFactorsError/linearAlgebra(_:)`` when Δ does not have the factors' shape; the value is then
    ///   unchanged.
    public mutating func add(
        lambda: Double,
        penalty: borrowing KroneckerPenalty,
        delta: borrowing Matrix<Double>
    ) throws(KroneckerFactorsError) {
        value += lambda * (try penalty.value(of: delta))
    }

    /// Adds one task's term `λ_t δᵀF_tδ` for a one-dimensional parameter.
    ///
    /// - Parameters:
    ///   - lambda: λ_t.
    ///   - penalty: The task's own full block.
    ///   - delta: δ, the same for every task.
    /// - Throws: ``KroneckerFactorsError/linearAlgebra(_:)`` when δ does not have the block's dimension; the value is
    ///   then unchanged.
    public mutating func add(
        lambda: Double,
        penalty: borrowing FullBlockPenalty,
        delta: [Double]
    ) throws(KroneckerFactorsError) {
        value += lambda * (try penalty.value(of: delta))
    }
}
