import LinearAlgebra

/// The coefficients that sum several uses of one weight, such as an embedding and the head that is tied to it.
///
/// The curvature of a weight that is used several times is Σ_u B_u ⊗ A_u over its uses. Cross terms between uses are
/// left out, as K-FAC leaves out those between layers. It is kept as the one product B ⊗ A that is nearest to it in the
/// Frobenius norm (``OptimalAccumulation`` of rank 1), with B = Σ y_u B_u and A = Σ x_u A_u. The sums without
/// coefficients of equation 8 would not do: B_u and A_u of an embedding and of a head have different units, and a
/// head's gradients would count against an embedding's frequencies.
///
/// The product does not determine the scale of A, but sums over tasks depend on it. A has the trace 1. So it has no
/// unit, and a change of the gradients' unit changes B alone, as in every other layer.
///
/// Source: DESIGN section 2.1; after Van Loan & Pitsianis 1993.
public struct SummedUses: Equatable, Sendable {
    /// x_u ≥ 0 of every use.
    public let inputCoefficients: [Double]
    /// y_u ≥ 0 of every use.
    public let gradientCoefficients: [Double]
    /// ‖Σ B_u⊗A_u − B⊗A‖_F / ‖Σ B_u⊗A_u‖_F; values below 1e-8 are rounding.
    public let relativeError: Double

    /// Finds the coefficients.
    ///
    /// - Parameters:
    ///   - gradients: ⟨B_u, B_v⟩ over the uses.
    ///   - inputs: ⟨A_u, A_v⟩ over the uses.
    ///   - inputTraces: tr A_u of every use.
    /// - Throws: ``KroneckerFactorsError/productNotFinite(first:second:)``.
    public init(
        gradients: FactorInnerProducts, inputs: FactorInnerProducts, inputTraces: [Double]
    ) throws(KroneckerFactorsError) {
        let count = inputTraces.count
        // λ is 1/U for each use, and the scale `paper` multiplies by their number U.
        let optimum = try OptimalAccumulation(
            gradients: gradients, inputs: inputs, lambdas: Array(repeating: 1 / Double(max(1, count)), count: count),
            rank: 1, scale: .paper)
        let term = optimum.terms[0]
        let trace = zip(term.inputCoefficients, inputTraces).reduce(0) { $0 + $1.0 * $1.1 }
        let scale = trace > 0 ? 1 / trace : 1
        inputCoefficients = term.inputCoefficients.map { $0 * scale }
        gradientCoefficients = term.gradientCoefficients.map { $0 / scale }
        relativeError = optimum.relativeError
    }
}
