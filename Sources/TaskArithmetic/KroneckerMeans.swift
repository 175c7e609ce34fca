public import LinearAlgebra

/// The factor means of one layer's merge, summed over the tasks before any product: Ā = Σ λ_t A_t and B̄ = 1/T Σ B_t.
///
/// The sums are fp64.
public struct KroneckerMeans: ~Copyable, Sendable {
    /// λ_t of the tasks added so far.
    public private(set) var lambdas: [Double] = []
    private var input: FactorSum
    private var gradient: FactorSum

    /// Empty sums for one layer.
    ///
    /// - Parameters:
    ///   - outputs: The shape of B, of dimension d_out.
    ///   - inputs: The shape of A, of dimension d_in, or d_in + 1 with the bias last.
    /// - Throws: ``TaskArithmeticError/linearAlgebra(_:)`` for an impossible shape or short memory.
    public init(outputs: SymmetricShape, inputs: SymmetricShape) throws(TaskArithmeticError) {
        let input = try FactorSum(shape: inputs)
        let gradient = try FactorSum(shape: outputs)
        self.input = input
        self.gradient = gradient
    }

    /// Adds one task's factors.
    ///
    /// - Parameters:
    ///   - factors: A_t and B_t.
    ///   - lambda: λ_t; the λ of all tasks sum to 1.
    /// - Throws: ``TaskArithmeticError/weightNotFinite(name:value:)``, or ``TaskArithmeticError/linearAlgebra(_:)``
    ///   when the shapes differ from the layer's; the sums are then invalid.
    public mutating func add(_ factors: borrowing LayerFactors, lambda: Double) throws(TaskArithmeticError) {
        guard lambda.isFinite else { throw .weightNotFinite(name: "weight λ", value: lambda) }
        try input.add(factors.input, times: lambda)
        try gradient.add(factors.gradient, times: 1)
        lambdas.append(lambda)
    }

    /// Returns the means and consumes the sums; the smaller mean is the near side.
    ///
    /// - Throws: ``TaskArithmeticError/noTasks``.
    consuming func intoSides() throws(TaskArithmeticError) -> Sides {
        guard !lambdas.isEmpty else { throw .noTasks }
        gradient.multiply(by: 1 / Double(lambdas.count))
        if gradient.dimension <= input.dimension { return Sides(nearSide: .left, near: gradient, far: input) }
        return Sides(nearSide: .right, near: input, far: gradient)
    }

    /// Both means, by their size.
    struct Sides: ~Copyable, Sendable {
        /// The side of the smaller mean: left of Δ for B̄, right of it for Ā.
        let nearSide: ProductSide
        let near: FactorSum
        let far: FactorSum

        var farSide: ProductSide { nearSide == .left ? .right : .left }
        var outputCount: Int { nearSide == .left ? near.dimension : far.dimension }
        var inputCount: Int { nearSide == .left ? far.dimension : near.dimension }
    }
}
