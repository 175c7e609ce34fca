public import LinearAlgebra

extension MergeMethod {
    /// Δ = s̄ U Vᵀ with U S Vᵀ = Σ w_t Δ_t and s̄ the mean of S.
    public static let isoC = MergeMethod(
        name: "iso_c", paper: Paper("Marczak et al. 2025", arXiv: "2502.04959"),
        formula: "θ₀ + α s̄ U Vᵀ, U S Vᵀ = Σ w_t Δ_t",
        summary: "Gives every direction of the summed vectors the same size, the mean singular value.",
        parameters: [.weight, .lambda, .rankTolerance, .asMatrix, .vectors],
        scope: .matrices(IsoCMerge.self, others: VectorRule.self))
}

/// The merge `iso_c` of one matrix.
///
/// Directions that no task moves stay at the base: only singular values above the tolerance, and above what rounding of
/// the decomposition alone can make, are set to the mean, which is over all min(rows, columns) values.
public struct IsoCMerge: StreamedComputation, ~Copyable {
    private let tolerance: Double
    private var sum: Matrix<Double>
    /// One pass over the values.
    public private(set) var nextPass: MergePass? = .values

    /// An empty sum.
    ///
    /// - Throws: ``TaskArithmeticError/unexpectedOperands(_:)`` for a block with factors,
    ///   ``TaskArithmeticError/parameterMissing(name:expected:)``, or ``TaskArithmeticError/linearAlgebra(_:)`` for an
    ///   impossible shape or short memory.
    public init(_ problem: MergeProblem) throws(TaskArithmeticError) {
        guard case .matrix(let rows, let columns) = problem.shape else {
            throw .unexpectedOperands("a block with factors")
        }
        let tolerance = try problem.arguments.number(.rankTolerance)
        sum = try .zeros(rows, columns)
        self.tolerance = tolerance
    }

    /// Adds w_t Δ_t.
    /// - Throws: ``TaskArithmeticError/linearAlgebra(_:)`` for another shape.
    public mutating func add(
        _ values: consuming Matrix<Double>, factors: borrowing TaskFactors, of model: MergedModel
    ) throws(TaskArithmeticError) {
        do { try sum.add(values, times: model.weight) } catch { throw .linearAlgebra(error) }
    }

    /// Ends the pass.
    public mutating func endPass() { nextPass = nil }

    /// Decomposes the sum.
    /// - Throws: ``TaskArithmeticError/linearAlgebra(_:)`` when memory is short or the decomposition fails.
    public consuming func finish() throws(TaskArithmeticError) -> MergedBlock {
        let (rows, columns) = (sum.rowCount, sum.columnCount)
        let least = min(rows, columns)
        var triplets = try SingularTriplets(rows: rows, columns: columns, capacity: least)
        let values = try triplets.add(leadingOf: sum, count: least, tolerance: tolerance)
        let raised = triplets.values
        triplets.setValues(values.reduce(0, +) / Double(max(1, least)))
        return try triplets.product(raised: raised)
    }

    /// The cost: a sum and its decomposition.
    public static func cost(of shape: MergeProblem.Shape, models: Int) -> MergeCost {
        let (rows, columns) = (shape.rows, shape.columns)
        let decomposition = SingularTriplets.decompositionCost(rows: rows, columns: columns)
        let elements = Double(rows) * Double(columns)
        let least = Double(min(rows, columns))
        let product = 2 * elements * least
        return MergeCost(
            multiplyAdds: decomposition.multiplyAdds + product + Double(models) * elements,
            numbers: 3 * elements + decomposition.numbers + 2 * least * Double(rows + columns),
            factorPasses: 0, valuePasses: 1, stageMultiplyAdds: decomposition.multiplyAdds + product)
    }
}
