/// A merge of matrices that estimates each task's covariance from its vector, in one pass: what such methods share.
public protocol EstimatedCovarianceMerge: StreamedComputation, ~Copyable {
    /// The system and the passes.
    var state: EstimatedCovarianceState { get set }
}

/// The system of a merge, with the job's parameters.
public struct EstimatedCovarianceState: ~Copyable, Sendable {
    /// The parameters.
    let problem: MergeProblem
    /// The sums.
    var system: CovarianceSystem
    /// Whether the pass over the models has ended.
    var isSummed = false

    /// Empty sums.
    ///
    /// - Throws: ``TaskArithmeticError/unexpectedOperands(_:)`` for a block with factors, or
    ///   ``TaskArithmeticError/linearAlgebra(_:)`` for an impossible shape or short memory.
    public init(_ problem: MergeProblem) throws(TaskArithmeticError) {
        guard case .matrix(let rows, let columns) = problem.shape else {
            throw .unexpectedOperands("a block with factors")
        }
        system = try CovarianceSystem(rows: rows, columns: columns, models: problem.models.count)
        self.problem = problem
    }

    /// Solves by the job's parameters.
    consuming func solve(ridge: MergeParameter) throws(TaskArithmeticError) -> MergedBlock {
        let tolerance = problem.arguments.optionalNumber(.relativeTolerance)
        return try system.solve(tolerance: tolerance, ridge: try problem.arguments.number(ridge))
    }
}

extension EstimatedCovarianceMerge where Self: ~Copyable {
    /// One pass over the values.
    public var nextPass: MergePass? { state.isSummed ? nil : .values }

    /// Ends the pass.
    public mutating func endPass() { state.isSummed = true }

    /// The cost of the system.
    public static func cost(of shape: MergeProblem.Shape, models: Int) -> MergeCost {
        CovarianceSystem.cost(of: shape, models: models)
    }
}
