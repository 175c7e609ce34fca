import LinearAlgebra

/// Averages each element over the models that move it, and may strengthen what one model alone moves.
///
/// Source: Reinforced Agent Merging (arXiv 2601.13572), as mergekit's `ram` and `ramplus_tl`.
struct ReinforcedAverage: ~Copyable, Sendable {
    /// Of each element the number of models that move it.
    private var movers: [UInt32]
    private var sum: Matrix<Double>

    /// Empty sums for a shape.
    ///
    /// - Throws: ``TaskArithmeticError/unexpectedOperands(_:)`` for a block with factors, or
    ///   ``TaskArithmeticError/linearAlgebra(_:)`` when memory is short.
    init(_ problem: MergeProblem) throws(TaskArithmeticError) {
        guard case .matrix(let rows, let columns) = problem.shape else {
            throw .unexpectedOperands("a block with factors")
        }
        sum = try Matrix<Double>.zeros(rows, columns)
        movers = [UInt32](repeating: 0, count: rows * columns)
    }

    private static func threshold(of model: MergedModel) throws(TaskArithmeticError) -> Double {
        try model.arguments.number(.leastMove)
    }

    /// Whether a model moves an element; NaN does, so that it is not lost.
    private static func moves(_ value: Double, _ threshold: Double) -> Bool { !(value.magnitude <= threshold) }

    /// Counts the elements that a model moves.
    ///
    /// - Throws: ``TaskArithmeticError/parameterMissing(name:expected:)``.
    mutating func count(_ values: borrowing Matrix<Double>, of model: MergedModel) throws(TaskArithmeticError) {
        let threshold = try Self.threshold(of: model)
        values.withSpan { values in
            for index in values.indices where Self.moves(values[index], threshold) { movers[index] += 1 }
        }
    }

    /// Adds a model's vector, after all models are counted.
    ///
    /// - Parameters:
    ///   - values: Δ_t.
    ///   - model: The model.
    ///   - factor: The factor of what the model alone moves, from its numbers of shared and of own elements.
    /// - Throws: ``TaskArithmeticError/parameterMissing(name:expected:)``.
    mutating func add(
        _ values: borrowing Matrix<Double>, of model: MergedModel, factor: (_ shared: Int, _ alone: Int) -> Double
    ) throws(TaskArithmeticError) {
        let threshold = try Self.threshold(of: model)
        let movers = movers
        values.withSpan { values in
            var (shared, alone) = (0, 0)
            for index in values.indices where Self.moves(values[index], threshold) {
                if movers[index] == 1 { alone += 1 } else { shared += 1 }
            }
            let ownFactor = factor(shared, alone)
            sum.withMutableSpan { sum in
                for index in values.indices where Self.moves(values[index], threshold) {
                    sum[index] += movers[index] == 1 ? ownFactor * values[index] : values[index] / Double(movers[index])
                }
            }
        }
    }

    /// The merged vector.
    consuming func finish() -> MergedBlock { MergedBlock(values: sum) }

    /// The cost: a comparison and a sum for each element and model; memory holds θ_0, the vector, the
    /// sum and half a number.
    static func cost(of shape: MergeProblem.Shape, models: Int) -> MergeCost {
        let elements = Double(shape.rows) * Double(shape.columns)
        return MergeCost(
            multiplyAdds: 4 * Double(models) * elements, numbers: 3.5 * elements, factorPasses: 0, valuePasses: 2)
    }
}

extension MergeParameter {
    /// ε, above which a model moves an element.
    public static let leastMove = MergeParameter(
        epsilon.name, epsilon.kind, default: .value(.number(1e-5)), level: epsilon.level, variesByTensor: true,
        meaning: "size of a vector's element up to which the model counts as not moving it")
}
