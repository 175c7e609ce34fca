public import LinearAlgebra

extension MergeMethod {
    /// Averages what models move.
    public static let ram = MergeMethod(
        name: "ram", paper: Paper("RAM 2026", arXiv: "2601.13572"),
        formula: "θ₀ + Σ m_t Δ_t / Σ m_t, m_t = 1 where |Δ_t| > ε",
        summary: """
            Averages each element over the models that move it by more than ε, so that what one model alone moves is \
            kept whole.
            """,
        parameters: [.leastMove], scope: .tensors(AveragedMoves.self))
}

/// Averages what models move.
///
/// Source: mergekit's `ram`.
public struct AveragedMoves: StreamedComputation, ~Copyable {
    private var average: ReinforcedAverage
    private var isCounted = false
    /// Values, twice: which models move an element, then the sum.
    public private(set) var nextPass: MergePass? = .values

    /// Empty sums.
    ///
    /// - Throws: ``TaskArithmeticError`` for a block with factors, a missing parameter, or short memory.
    public init(_ problem: MergeProblem) throws(TaskArithmeticError) {
        average = try ReinforcedAverage(problem)
    }

    /// Counts or adds a model's vector.
    ///
    /// - Throws: ``TaskArithmeticError/parameterMissing(name:expected:)``.
    public mutating func add(
        _ values: consuming Matrix<Double>, factors: borrowing TaskFactors, of model: MergedModel
    ) throws(TaskArithmeticError) {
        guard isCounted else { return try average.count(values, of: model) }
        try average.add(values, of: model) { _, _ in 1 }
    }

    /// Ends a pass.
    public mutating func endPass() {
        nextPass = isCounted ? nil : .values
        isCounted = true
    }

    /// Gives the merged vector.
    public consuming func finish() -> MergedBlock { average.finish() }

    /// The cost of two passes.
    public static func cost(of shape: MergeProblem.Shape, models: Int) -> MergeCost {
        ReinforcedAverage.cost(of: shape, models: models)
    }
}
