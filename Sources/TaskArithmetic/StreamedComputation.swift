public import LinearAlgebra

/// Merges one block or one tensor, reading the models one after the other, as often as it needs.
///
/// The order of calls: ``init(_:)``; then, as long as ``nextPass`` is one, an ``add(_:factors:of:)`` or
/// ``addFactors(_:of:)`` for each model in the problem's order and ``endPass()``; then ``finish()``. All in fp64.
public protocol StreamedComputation: ~Copyable, Sendable {
    /// Empty sums.
    ///
    /// - Throws: ``TaskArithmeticError`` for a shape that the method does not merge, or short memory.
    init(_ problem: MergeProblem) throws(TaskArithmeticError)

    /// What the next pass over the models reads; `nil` when the result can be made.
    var nextPass: MergePass? { get }

    /// Takes a model's factors, in a pass that reads nothing else.
    ///
    /// - Throws: ``TaskArithmeticError`` for other factors than the shape has.
    mutating func addFactors(_ factors: borrowing TaskFactors, of model: MergedModel) throws(TaskArithmeticError)

    /// Takes a model's values, in a pass that reads them.
    ///
    /// - Parameters:
    ///   - values: Δ_t, or θ_t under ``MergeMethod/Terms/models``, of the problem's shape; not yet weighted.
    ///   - factors: The model's factors, in a pass that reads them.
    ///   - model: Its weight, share and parameters.
    /// - Throws: ``TaskArithmeticError`` for other operands than the shape has.
    mutating func add(
        _ values: consuming Matrix<Double>, factors: borrowing TaskFactors, of model: MergedModel
    ) throws(TaskArithmeticError)

    /// Ends a pass.
    ///
    /// - Throws: ``TaskArithmeticError`` when what follows from the sums cannot be made.
    mutating func endPass() throws(TaskArithmeticError)

    /// Makes the result.
    ///
    /// - Throws: ``TaskArithmeticError`` when there is none; the sums are gone.
    consuming func finish() throws(TaskArithmeticError) -> MergedBlock

    /// What merging so many models costs; a worker holds no more memory than this for it.
    static func cost(of shape: MergeProblem.Shape, models: Int) -> MergeCost
}

/// What a pass over the models reads.
public enum MergePass: Equatable, Sendable {
    /// Their factors.
    case factors
    /// Their values.
    case values
    /// Both.
    case valuesAndFactors
}
