public import LinearAlgebra

extension MergeMethod {
    /// Averages what models share, and strengthens what one moves alone.
    public static let ramPlus = MergeMethod(
        name: "ramplus_tl", paper: Paper("RAM 2026", arXiv: "2601.13572"),
        formula: "θ₀ + Σ c_t m_t Δ_t / Σ m_t, c_t = 1 + r min(shared_t / alone_t, α) where one model moves",
        summary: """
            As ram, and strengthens what one model alone moves: by the ratio of the elements that it shares to those \
            that it moves alone, in each tensor.
            """,
        parameters: [.reinforcement, .reinforcementLimit, .leastMove], scope: .tensors(ReinforcedMoves.self))
}

extension MergeParameter {
    /// r, the strength of the reinforcement.
    public static let reinforcement = MergeParameter(
        "r", .number(.any), default: .value(.number(0.1)), level: .job, variesByTensor: true,
        meaning: "strength r of the reinforcement of what one model alone moves")

    /// α, the largest ratio that counts.
    public static let reinforcementLimit = MergeParameter(
        "alpha", .number(.from(0)), default: .value(.number(0.2)), level: .job, variesByTensor: true,
        meaning: "largest ratio α of shared elements to those that one model alone moves")
}

/// Averages what models share, and strengthens what one moves alone.
///
/// Source: mergekit's `ramplus_tl`.
public struct ReinforcedMoves: StreamedComputation, ~Copyable {
    private var average: ReinforcedAverage
    private var isCounted = false
    private let strength: Double
    private let limit: Double
    /// Values, twice: which models move an element, then the sum.
    public private(set) var nextPass: MergePass? = .values

    /// Empty sums.
    ///
    /// - Throws: ``TaskArithmeticError`` for a block with factors, a missing parameter, or short memory.
    public init(_ problem: MergeProblem) throws(TaskArithmeticError) {
        let strength = try problem.arguments.number(.reinforcement)
        let limit = try problem.arguments.number(.reinforcementLimit)
        average = try ReinforcedAverage(problem)
        (self.strength, self.limit) = (strength, limit)
    }

    /// Counts or adds a model's vector.
    ///
    /// - Throws: ``TaskArithmeticError/parameterMissing(name:expected:)``.
    public mutating func add(
        _ values: consuming Matrix<Double>, factors: borrowing TaskFactors, of model: MergedModel
    ) throws(TaskArithmeticError) {
        guard isCounted else { return try average.count(values, of: model) }
        let (strength, limit) = (strength, limit)
        try average.add(values, of: model) { shared, alone in
            1 + strength * min(Double(shared) / Double(max(alone, 1)), limit)
        }
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
