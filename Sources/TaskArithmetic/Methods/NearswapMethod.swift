public import LinearAlgebra

extension MergeMethod {
    /// A step of at most t towards a model.
    public static let nearswap = MergeMethod(
        name: "nearswap", paper: Paper("Goddard et al. 2024", arXiv: "2403.13257"),
        formula: "θ₀ + min(max(Δ_1, −t), t)",
        summary: "Moves each element of the base towards one model, at most by t, so that close elements are swapped.",
        parameters: [.interpolation], modelCount: 1...1, scope: .tensors(BoundedStep.self)
    ) { requests in
        for request in requests {
            guard case .number(let bound)? = request.arguments[.interpolation], bound < 0 else { continue }
            return "moves elements by at most t, which is \(MergeValue.number(bound)) in tensor \"\(request.tensor)\"; "
                + "expected at least 0."
        }
        return nil
    }
}

/// Bounds a task vector's elements.
///
/// Source: mergekit's `nearswap`.
public struct BoundedStep: StreamedComputation, ~Copyable {
    private let bound: Double
    private var step: Matrix<Double>?
    /// Values, once.
    public private(set) var nextPass: MergePass? = .values

    /// Nothing to bound yet.
    ///
    /// - Throws: ``TaskArithmeticError`` for more than one model, or without t.
    public init(_ problem: MergeProblem) throws(TaskArithmeticError) {
        guard case .matrix = problem.shape, problem.models.count == 1 else {
            throw .unexpectedOperands("\(problem.models.count) models")
        }
        bound = try problem.arguments.number(.interpolation)
    }

    /// Bounds the vector.
    public mutating func add(_ values: consuming Matrix<Double>, factors: borrowing TaskFactors, of model: MergedModel)
    {
        let bound = bound
        values.withMutableSpan { values in
            for index in values.indices { values[index] = min(max(values[index], -bound), bound) }
        }
        step = .some(values)
    }

    /// Ends the only pass.
    public mutating func endPass() { nextPass = nil }

    /// Gives the step.
    ///
    /// - Throws: ``TaskArithmeticError/noTasks`` if no model came.
    public consuming func finish() throws(TaskArithmeticError) -> MergedBlock {
        guard let step = step.take() else { throw .noTasks }
        return MergedBlock(values: step)
    }

    /// The cost: two operations for an element; memory holds θ_0 and the vector.
    public static func cost(of shape: MergeProblem.Shape, models: Int) -> MergeCost {
        let elements = Double(shape.rows) * Double(shape.columns)
        return MergeCost(multiplyAdds: 2 * elements, numbers: 2 * elements, factorPasses: 0, valuePasses: 1)
    }
}
