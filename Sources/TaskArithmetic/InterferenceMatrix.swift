public import KroneckerFactors
public import LinearAlgebra

/// How strongly each task vector moves the representations of each task: I[i][j] = Σ_ℓ tr(B_j Δ_i A_j Δ_iᵀ), summed
/// layer by layer, known before any merge and without data.
///
/// For one layer and one task j, a ``KroneckerFactors/KroneckerPenalty`` is made once and all Δ_i pass by.
public struct InterferenceMatrix: Equatable, Sendable {
    /// Number of tasks.
    public let taskCount: Int
    private var entries: [Double]

    /// All zero.
    public init(taskCount: Int) {
        self.taskCount = taskCount
        entries = Array(repeating: 0, count: taskCount * taskCount)
    }

    /// I[vector][factors]: what the task vector of one does to the other.
    public subscript(vector: Int, factors: Int) -> Double { entries[vector * taskCount + factors] }

    /// Adds a layer's entry that was computed elsewhere.
    public mutating func add(_ value: Double, vector: Int, factors: Int) {
        entries[vector * taskCount + factors] += value
    }

    /// Adds tr(B_j Δ_i A_j Δ_iᵀ) of one layer.
    ///
    /// - Parameters:
    ///   - delta: Δ_i, `[d_out, d_in(+1)]`.
    ///   - vector: i.
    ///   - penalty: The form of task j's own factors.
    ///   - factors: j.
    /// - Throws: ``TaskArithmeticError/kroneckerFactors(_:)`` when Δ_i does not have the factors' shape; the entry is
    ///   then unchanged.
    public mutating func add(
        delta: borrowing Matrix<Double>,
        vector: Int,
        penalty: borrowing KroneckerPenalty,
        factors: Int
    ) throws(TaskArithmeticError) {
        do {
            add(try penalty.value(of: delta), vector: vector, factors: factors)
        } catch {
            throw .kroneckerFactors(error)
        }
    }

    /// Adds δ_iᵀ F_j δ_i of one one-dimensional parameter.
    ///
    /// - Parameters:
    ///   - delta: δ_i, `[d]`.
    ///   - vector: i.
    ///   - penalty: The form of task j's own full block.
    ///   - factors: j.
    /// - Throws: ``TaskArithmeticError/kroneckerFactors(_:)`` when δ_i does not have the block's dimension; the entry
    ///   is then unchanged.
    public mutating func add(
        delta: [Double],
        vector: Int,
        penalty: borrowing FullBlockPenalty,
        factors: Int
    ) throws(TaskArithmeticError) {
        do {
            add(try penalty.value(of: delta), vector: vector, factors: factors)
        } catch {
            throw .kroneckerFactors(error)
        }
    }

    /// I[i][j]/I[j][j], rows i: 1 on the diagonal; nil in a column whose own entry is zero.
    public var normalized: [[Double?]] {
        (0..<taskCount).map { vector in
            (0..<taskCount).map { factors in
                let own = self[factors, factors]
                return own > 0 ? self[vector, factors] / own : nil
            }
        }
    }
}
