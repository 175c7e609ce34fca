public import LinearAlgebra

extension MergeMethod {
    /// The mean of each element, weighted by the diagonals of the factors.
    public static let fisher = MergeMethod(
        name: "fisher", paper: Paper("Matena & Raffel 2022", arXiv: "2111.09832"),
        formula: "θ₀ + α Σ λ_t F_t w_t Δ_t / Σ λ_t F_t, F_t = diag(B_t) diag(A_t)ᵀ",
        summary: "The mean of each element, weighted by its own curvature in every task.",
        parameters: [.weight, .normalize(default: false), .lambda], base: .whenListed,
        scope: .blocks(FisherMerge.self, others: WeightedSum.self))
}

/// The merge `fisher` of one block: of a layer with F_t = diag(B_t) diag(A_t)ᵀ, of a parameter with the diagonal of its
/// full block, element by element.
///
/// An element without curvature in any task takes the weighted mean. No damping is needed: the weights of an element
/// are not negative, so the result lies between the tasks' values.
public struct FisherMerge: StreamedComputation, ~Copyable {
    private let shape: MergeProblem.Shape
    private var mean: Matrix<Double>
    /// Σ λ_t F_t w_t Δ_t.
    private var weighted: Matrix<Double>
    /// Σ λ_t F_t.
    private var curvature: Matrix<Double>
    /// One pass.
    public private(set) var nextPass: MergePass? = [.values, .factors]

    /// Creates empty sums.
    ///
    /// - Throws: ``TaskArithmeticError/unexpectedOperands(_:)`` for a matrix without factors, or
    ///   ``TaskArithmeticError/linearAlgebra(_:)`` for an impossible shape or short memory.
    public init(_ problem: MergeProblem) throws(TaskArithmeticError) {
        if case .matrix = problem.shape { throw .unexpectedOperands("a matrix without factors") }
        let (rows, columns) = (problem.shape.rows, problem.shape.columns)
        let mean = try Matrix<Double>.zeros(rows, columns)
        let weighted = try Matrix<Double>.zeros(rows, columns)
        let curvature = try Matrix<Double>.zeros(rows, columns)
        self.mean = mean
        self.weighted = weighted
        self.curvature = curvature
        shape = problem.shape
    }

    /// Refuses a pass without values.
    /// - Throws: ``TaskArithmeticError/unexpectedOperands(_:)``, always.
    public mutating func addFactors(
        _ factors: borrowing TaskFactors, of model: MergedModel
    ) throws(TaskArithmeticError) {
        throw .unexpectedOperands("factors without values")
    }

    /// Adds a task.
    /// - Throws: ``TaskArithmeticError/unexpectedOperands(_:)`` for other operands than the shape has.
    public mutating func add(
        _ values: consuming Matrix<Double>, factors: borrowing TaskFactors, of model: MergedModel
    ) throws(TaskArithmeticError) {
        let outputs: [Double]
        let inputs: [Double]
        switch factors {
        case .layer(let factors): (outputs, inputs) = (factors.gradient.diagonal, factors.input.diagonal)
        case .parameter(let block): (outputs, inputs) = ([1], block.diagonal)
        case .none: throw .unexpectedOperands("a block without factors")
        }
        let columns = mean.columnCount
        guard outputs.count == mean.rowCount, inputs.count == columns, values.elementCount == mean.elementCount else {
            throw .unexpectedOperands("factors of another shape")
        }
        values.withSpan { values in
            mean.withMutableSpan { mean in
                for index in values.indices { mean[index] += model.lambda * model.weight * values[index] }
            }
            curvature.withMutableSpan { curvature in
                weighted.withMutableSpan { weighted in
                    for row in outputs.indices {
                        let share = model.lambda * outputs[row]
                        for column in 0..<columns {
                            let index = row * columns + column
                            let importance = share * inputs[column]
                            curvature[index] += importance
                            weighted[index] += importance * model.weight * values[index]
                        }
                    }
                }
            }
        }
    }

    /// Ends the pass.
    public mutating func endPass() { nextPass = nil }

    /// Divides.
    /// - Throws: ``TaskArithmeticError/linearAlgebra(_:)`` for a row that is too long.
    public consuming func finish() throws(TaskArithmeticError) -> MergedBlock {
        do {
            let before = try mean.frobeniusNorm()
            curvature.withSpan { curvature in
                weighted.withSpan { weighted in
                    mean.withMutableSpan { mean in
                        for index in curvature.indices where curvature[index] > 0 {
                            mean[index] = weighted[index] / curvature[index]
                        }
                    }
                }
            }
            let norms = MergedNorms(merged: try mean.frobeniusNorm(), mean: before)
            return MergedBlock(values: mean, norms: norms)
        } catch {
            throw .linearAlgebra(error)
        }
    }

    /// The cost: a few operations for each element; θ_0, a task vector, three sums and a task's factors.
    public static func cost(of shape: MergeProblem.Shape, models: Int) -> MergeCost {
        let elements = Double(shape.rows) * Double(shape.columns)
        let packed = shape.factors.reduce(0) {
            $0 + Double($1.dimension) * ($1.isDiagonal ? 1 : Double($1.dimension + 1) / 2)
        }
        return MergeCost(
            multiplyAdds: 8 * Double(models) * elements, numbers: 5 * elements + packed / 2, factorPasses: 1,
            valuePasses: 1)
    }
}
