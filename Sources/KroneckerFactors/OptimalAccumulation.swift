import LinearAlgebra

/// The best sum of a few Kronecker products for the per-task form of one layer, from the factors' inner products.
///
/// The per-task form (eq. 7) is G = Σ λ_t B_t ⊗ A_t. Its storage and cost grow with the number of tasks. Equation 8
/// replaces it by one product, (Σ B_t) ⊗ (Σ λ_t A_t). This type finds better coefficients, and any requested number of
/// products:
///
///     Ĝ = Σ_k (Σ_t y_kt B_t) ⊗ (Σ_t x_kt A_t),  y, x ≥ 0,  ‖G − Ĝ‖_F least.
///
/// Non-negative coefficients keep every factor of every term positive semi-definite. For one term they are no
/// restriction: all inner products of positive semi-definite matrices are non-negative, so the best pair is
/// non-negative too. That pair is the leading singular pair of the rearranged Σ λ_t vec(B_t) vec(A_t)ᵀ. So no single
/// product is closer to G, including equation 8 with its best scale. For several terms the error is minimised by
/// descent. The minimum may be local, but its error never exceeds that of fewer terms.
///
/// Source: DESIGN section 2.2, form `optimal`; after Van Loan & Pitsianis 1993.
public struct OptimalAccumulation: Equatable, Sendable {
    /// One Kronecker product: B = Σ y_t B_t, A = Σ x_t A_t.
    public struct Term: Equatable, Sendable {
        /// y_t ≥ 0 of every task.
        public let gradientCoefficients: [Double]
        /// x_t ≥ 0 of every task, with sum 1: A is a weighted mean of the tasks' A, and B carries the magnitude.
        public let inputCoefficients: [Double]
    }

    /// The requested number of terms, the largest first; an unneeded term has coefficients 0.
    public let terms: [Term]
    /// ‖G − Ĝ‖_F / ‖G‖_F, for the scale `mean`; 0 for factors that are all zero.
    ///
    /// Values below 1e-8 are rounding.
    public let relativeError: Double

    /// Finds the terms.
    ///
    /// - Parameters:
    ///   - gradients: ⟨B_s, B_t⟩.
    ///   - inputs: ⟨A_s, A_t⟩.
    ///   - lambdas: From ``RegularizerWeights/lambdas(excluding:)``; one for each task. The sums run over the T' tasks
    ///     with λ_t > 0.
    ///   - rank: The number of terms; from T' on the error is 0.
    ///   - scale: `mean` approximates G itself. `paper` multiplies every B by T', so that a strength tuned for equation
    ///     8 in the same scale stays valid.
    /// - Throws: ``KroneckerFactorsError/invalidCount(name:value:)`` for a rank below 1,
    ///   ``KroneckerFactorsError/productNotFinite(first:second:)``.
    public init(
        gradients: FactorInnerProducts,
        inputs: FactorInnerProducts,
        lambdas: [Double],
        rank: Int,
        scale: RegularizerScale
    ) throws(KroneckerFactorsError) {
        guard rank >= 1 else { throw .invalidCount(name: "Kronecker products", value: rank) }
        try requireFinite(gradients, inputs, lambdas)
        // A task whose factors are zero on one side contributes nothing to G.
        let tasks = lambdas.indices.filter { lambdas[$0] > 0 && inputs[$0, $0] > 0 && gradients[$0, $0] > 0 }
        let inputNorms = tasks.map { inputs[$0, $0].squareRoot() }
        let gradientNorms = tasks.map { gradients[$0, $0].squareRoot() }
        let magnitudes = tasks.indices.map { lambdas[tasks[$0]] * inputNorms[$0] * gradientNorms[$0] }
        let largest = magnitudes.largest() ?? 0
        let fit = NonNegativeFit(
            gradients: UnitGram(gradients, of: tasks, norms: gradientNorms),
            inputs: UnitGram(inputs, of: tasks, norms: inputNorms),
            weights: magnitudes.map { $0 / largest })
        let solution = fit.terms(count: rank)

        let summedTaskCount = lambdas.count { $0 > 0 }
        let strength = scale == .paper ? largest * Double(summedTaskCount) : largest
        let none = [Double](repeating: 0, count: lambdas.count)
        terms = (0..<rank).map { position in
            var (y, x) = (none, none)
            guard position < solution.count else { return Term(gradientCoefficients: y, inputCoefficients: x) }
            let term = solution[position]
            let share = tasks.indices.reduce(0) { $0 + term.input[$1] / inputNorms[$1] }
            for (index, task) in tasks.enumerated() {
                x[task] = term.input[index] / inputNorms[index] / share
                y[task] = term.gradient[index] / gradientNorms[index] * share * strength
            }
            return Term(gradientCoefficients: y, inputCoefficients: x)
        }
        relativeError = fit.wholeSquare > 0 ? (fit.squaredError(solution) / fit.wholeSquare).squareRoot() : 0
    }
}

/// A NaN product compares as neither positive nor negative, so its task would be omitted silently.
private func requireFinite(
    _ gradients: FactorInnerProducts, _ inputs: FactorInnerProducts, _ lambdas: [Double]
) throws(KroneckerFactorsError) {
    for first in lambdas.indices {
        for second in lambdas.indices
        where !(gradients[first, second].isFinite && inputs[first, second].isFinite && lambdas[first].isFinite) {
            throw .productNotFinite(first: first, second: second)
        }
    }
}
