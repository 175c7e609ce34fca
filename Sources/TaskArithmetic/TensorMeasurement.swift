/// Numbers of one tensor, or of one part of it, that its elementwise merge needs: norms, inner products, thresholds.
///
/// A worker reads the models together, block by block in the order of the elements, as often as ``needsPass`` asks. The
/// numbers are the last list of the ``ElementwiseComputation``'s statistics. So no tensor is ever in memory as a whole.
public protocol TensorMeasurement: ~Copyable, Sendable {
    /// Nothing measured yet.
    ///
    /// - Throws: ``TaskArithmeticError`` for a problem that the method does not have.
    init(_ problem: MergeProblem) throws(TaskArithmeticError)

    /// Whether another pass over the elements is needed.
    var needsPass: Bool { get }

    /// Takes the next block of elements: for each model of the problem Δ_t, or θ_t under ``MergeMethod/Terms/models``.
    ///
    /// - Throws: ``TaskArithmeticError`` for models without what the method needs.
    mutating func add(_ block: borrowing ModelBlock) throws(TaskArithmeticError)

    /// Ends a pass.
    mutating func endPass()

    /// Makes the numbers, after the last pass; at most ``ModelStatisticsLimits/numbers``.
    ///
    /// - Throws: ``TaskArithmeticError`` when there are none.
    consuming func finish() throws(TaskArithmeticError) -> [Double]

    /// What measuring costs; ``MergeCost/numbers`` counts what is held beside the blocks.
    static func cost(of shape: MergeProblem.Shape, models: Int) -> MergeCost
}

/// An elementwise merge with numbers of each tensor, in place of a merge of whole tensors.
public struct MeasuredElements: Sendable {
    /// What workers measure.
    public let measurement: any (TensorMeasurement & ~Copyable).Type
    /// The merge, whose statistics end with the numbers.
    public let computation: any (ElementwiseComputation & ~Copyable).Type
    /// Whether a job with these parameters of a tensor merges it so.
    public let isUsed: @Sendable (MergeArguments) -> Bool

    /// Pairs a measurement with its merge.
    public init(
        _ measurement: any (TensorMeasurement & ~Copyable).Type,
        _ computation: any (ElementwiseComputation & ~Copyable).Type,
        isUsed: @escaping @Sendable (MergeArguments) -> Bool = { _ in true }
    ) {
        self.measurement = measurement
        self.computation = computation
        self.isUsed = isUsed
    }
}
