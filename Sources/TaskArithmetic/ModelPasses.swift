public import LinearAlgebra

/// What reads one block or one tensor of the models, one model after the other, as often as it needs.
///
/// The order of calls: ``init(_:)``; then, as long as ``nextPass`` is one, for each model in the problem's order an
/// ``addInverses(_:of:)`` if the pass reads inverses, then an ``add(_:factors:of:)`` if it reads values, or an
/// ``addFactors(_:of:)`` if it reads only factors; and ``endPass()``. A pass that reads nothing is a step of an
/// iteration: it has only the ``endPass()``, and shows that the unit makes progress. All in fp64.
public protocol ModelPasses: ~Copyable, Sendable {
    /// Empty sums.
    ///
    /// - Throws: ``TaskArithmeticError`` for a shape that the method does not merge, or short memory.
    init(_ problem: MergeProblem) throws(TaskArithmeticError)

    /// What the next pass over the models reads; `nil` when the result can be made.
    var nextPass: MergePass? { get }

    /// Takes the inverses of a model's target, before anything else of the model.
    ///
    /// Inverses for all models (``MergeInverses/all``) come once in a pass, with the first model.
    ///
    /// - Throws: ``TaskArithmeticError`` for other inverses than the shape has.
    mutating func addInverses(_ inverses: consuming TaskFactors, of model: MergedModel) throws(TaskArithmeticError)

    /// Takes a model's factors, in a pass that does not read values.
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

    /// What reading so many models costs; a worker holds no more memory than this for it.
    static func cost(of shape: MergeProblem.Shape, models: Int) -> MergeCost
}

extension ModelPasses where Self: ~Copyable {
    /// Refuses factors, as methods without them have no pass that reads them.
    ///
    /// - Throws: ``TaskArithmeticError/unexpectedOperands(_:)``, always.
    public mutating func addFactors(
        _ factors: borrowing TaskFactors, of model: MergedModel
    ) throws(TaskArithmeticError) {
        throw .unexpectedOperands("factors")
    }

    /// Refuses inverses, as most methods have no pass that reads them.
    ///
    /// - Throws: ``TaskArithmeticError/unexpectedOperands(_:)``, always.
    public mutating func addInverses(
        _ inverses: consuming TaskFactors, of model: MergedModel
    ) throws(TaskArithmeticError) {
        throw .unexpectedOperands("inverses")
    }
}

/// What a pass over the models reads.
public struct MergePass: OptionSet, Sendable {
    /// One bit for each kind of operand.
    public let rawValue: Int

    /// Takes the bits.
    public init(rawValue: Int) { self.rawValue = rawValue }

    /// The models' factors.
    public static let factors = MergePass(rawValue: 1)
    /// The models' values.
    public static let values = MergePass(rawValue: 2)
    /// The inverses that the scope names.
    public static let inverses = MergePass(rawValue: 4)
}
