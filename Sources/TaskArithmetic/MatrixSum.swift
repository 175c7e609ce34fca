public import LinearAlgebra

/// Adds up the weighted vectors of a matrix: Σ λ_t w_t Δ_t, or the sum divided by Σ λ_t w_t.
///
/// It computes what ``WeightedSum`` does of elements, for a merge that needs the whole vector of a matrix.
public struct MatrixSum: StreamedComputation, ~Copyable {
    private var sum: Matrix<Double>
    private var weightSum = 0.0
    private let divides: Bool
    /// Values, once.
    public private(set) var nextPass: MergePass? = .values

    /// An empty sum.
    ///
    /// - Throws: ``TaskArithmeticError/linearAlgebra(_:)`` when memory is short.
    public init(_ problem: MergeProblem) throws(TaskArithmeticError) {
        sum = try Matrix<Double>.zeros(problem.shape.rows, problem.shape.columns)
        divides = problem.divides
    }

    /// Adds a model's vector.
    ///
    /// - Throws: ``TaskArithmeticError/weightNotFinite(name:value:)``, or ``TaskArithmeticError/linearAlgebra(_:)`` for
    ///   a vector of another shape.
    public mutating func add(
        _ values: consuming Matrix<Double>, factors: borrowing TaskFactors, of model: MergedModel
    ) throws(TaskArithmeticError) {
        let weight = model.lambda * model.weight
        guard weight.isFinite else { throw .weightNotFinite(name: "weight", value: weight) }
        weightSum += weight
        do {
            try values.withSpan { (values) throws(LinearAlgebraError) in
                try sum.withMutableSpan { (sum) throws(LinearAlgebraError) in
                    try VectorOperations.add(values, times: weight, to: &sum)
                }
            }
        } catch {
            throw .linearAlgebra(error)
        }
    }

    /// Ends the only pass.
    public mutating func endPass() { nextPass = nil }

    /// Gives the sum.
    ///
    /// - Throws: ``TaskArithmeticError/weightsCancel`` for weights that sum to zero where they divide.
    public consuming func finish() throws(TaskArithmeticError) -> MergedBlock {
        guard divides else { return MergedBlock(values: sum) }
        guard weightSum != 0 else { throw .weightsCancel }
        var mean = sum
        mean.multiply(by: 1 / weightSum)
        return MergedBlock(values: mean)
    }

    /// The cost: two operations for an element of each model; memory holds θ_0, the sum and a vector.
    public static func cost(of shape: MergeProblem.Shape, models: Int) -> MergeCost {
        let elements = Double(shape.rows) * Double(shape.columns)
        return MergeCost(
            multiplyAdds: 2 * Double(models) * elements, numbers: 3 * elements, factorPasses: 0, valuePasses: 1)
    }
}
