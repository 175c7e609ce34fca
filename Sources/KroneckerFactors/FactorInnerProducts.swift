public import LinearAlgebra

/// The Frobenius inner products ⟨X_s, X_t⟩ of the tasks' factors of one kind, collected over ranges.
public struct FactorInnerProducts: Equatable, Sendable {
    /// Number of tasks.
    public let taskCount: Int
    private var products: [Double]

    /// Makes inner products that are all zero.
    public init(taskCount: Int) {
        self.taskCount = taskCount
        products = Array(repeating: 0, count: taskCount * taskCount)
    }

    /// Takes products that were collected before, row by row; `nil` unless there are T² of them.
    public init?(taskCount: Int, products: [Double]) {
        guard taskCount >= 0, products.count == taskCount * taskCount else { return nil }
        self.taskCount = taskCount
        self.products = products
    }

    /// Adds one range's share to ⟨X_first, X_second⟩ and its mirror.
    ///
    /// - Parameters:
    ///   - left: `[count]`, the first task's factor over the range.
    ///   - right: `[count]`, the second task's.
    ///   - first: The first task.
    ///   - second: The second task; equal to `first` for a squared norm.
    ///   - firstElement: The index of the range's first element among the stored ones.
    ///   - shape: The factors' shape.
    /// - Throws: ``KroneckerFactorsError/linearAlgebra(_:)`` for unequal lengths; nothing is added then.
    public mutating func add<Scalar: MatrixScalar>(
        _ left: Span<Scalar>,
        _ right: Span<Scalar>,
        tasks first: Int,
        _ second: Int,
        firstElement: Int,
        of shape: SymmetricShape
    ) throws(KroneckerFactorsError) {
        let share: Double
        do {
            share = try VectorOperations.frobeniusInnerProduct(
                left, right, firstElement: firstElement, of: shape)
        } catch {
            throw .linearAlgebra(error)
        }
        products[first * taskCount + second] += share
        if first != second { products[second * taskCount + first] += share }
    }

    /// ⟨X_first, X_second⟩.
    public subscript(first: Int, second: Int) -> Double { products[first * taskCount + second] }
}

/// The distance of the accumulated regularizer from the per-task form in one layer, from the factors' inner products.
public enum AccumulationError {
    /// `min_c ‖Σ λ_t B_t⊗A_t − c·B⊗A‖_F / ‖Σ λ_t B_t⊗A_t‖_F` with B = Σ B_t, A = Σ λ_t A_t.
    ///
    /// The sums run over the tasks with λ_t > 0. Since ⟨B⊗A, B'⊗A'⟩ = ⟨B, B'⟩⟨A, A'⟩, the minimum is the sine of the
    /// angle between the two sums. Values below 1e-8 are rounding.
    ///
    /// - Parameters:
    ///   - gradients: ⟨B_s, B_t⟩.
    ///   - inputs: ⟨A_s, A_t⟩.
    ///   - lambdas: From ``RegularizerWeights/lambdas(excluding:)``; one for each task.
    /// - Returns: Between 0 (eq. 8 is eq. 7 up to scale) and 1; 0 for factors that are all zero.
    public static func relative(
        gradients: FactorInnerProducts,
        inputs: FactorInnerProducts,
        lambdas: [Double]
    ) -> Double {
        let tasks = lambdas.indices.filter { lambdas[$0] > 0 }
        var (exactSquares, gradientSquares, inputSquares, cross) = (0.0, 0.0, 0.0, 0.0)
        for first in tasks {
            var (gradientRow, inputRow) = (0.0, 0.0)
            for second in tasks {
                let gradient = gradients[first, second]
                let input = lambdas[second] * inputs[first, second]
                exactSquares += lambdas[first] * gradient * input
                gradientRow += gradient
                inputRow += input
            }
            cross += lambdas[first] * gradientRow * inputRow
            gradientSquares += gradientRow
            inputSquares += lambdas[first] * inputRow
        }
        let norms = exactSquares * gradientSquares * inputSquares
        // A NaN is not zero.
        guard norms != 0 else { return 0 }
        return (1 - cross * cross / norms).clampedToZero.squareRoot()
    }
}
