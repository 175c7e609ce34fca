public import LinearAlgebra

/// A merge of one range of a tensor, element by element and model by model.
///
/// Operands are raw bytes, and their element types may differ. The result is rounded once. Ranges are independent:
/// threads may share them, each with its own computation, and the bits stay the same. ``MergePrecision/single``
/// approximates the values of ``MergePrecision/double``.
public protocol ElementwiseComputation: ~Copyable, Sendable {
    /// Whether the result is Σ w_t Δ_t, or Σ w_t θ_t, which may be divided by Σ w_t; the report names the rule.
    static var isWeightedSum: Bool { get }

    /// Allocates buffers for ranges of up to `capacity` elements.
    ///
    /// - Parameters:
    ///   - capacity: The most elements of a range.
    ///   - precision: The precision of the arithmetic.
    ///   - statistics: What ``ModelStatistics`` measured of the whole model, a list for each round; empty for a method
    ///     without, and where no model takes part. The numbers of a ``TensorMeasurement`` are the last list.
    /// - Throws: ``TaskArithmeticError`` when memory is short, or for statistics that it does not take.
    init(capacity: Int, precision: MergePrecision, statistics: [[Double]]) throws(TaskArithmeticError)

    /// Takes note of the index of the next range's first element, in the tensor or in the part that is merged.
    mutating func place(at first: Int)

    /// Starts a range with the base's elements θ_0.
    ///
    /// - Throws: ``TaskArithmeticError`` for a range that does not fit. The range is then empty.
    mutating func begin(base: RawSpan, type: ElementType) throws(TaskArithmeticError)

    /// Starts a range without a base, as if θ_0 were zero.
    ///
    /// - Throws: ``TaskArithmeticError`` for a range that does not fit. The range is then empty.
    mutating func begin(elements: Int) throws(TaskArithmeticError)

    /// Adds the base itself as a model, with the weight w_0 and a zero task vector.
    ///
    /// - Throws: ``TaskArithmeticError`` for a weight that is not finite.
    mutating func addBase(weight: Double) throws(TaskArithmeticError)

    /// Adds a model's range, with its weight and its own parameters.
    ///
    /// - Throws: ``TaskArithmeticError`` for another number of elements or a missing parameter. Nothing is added then.
    mutating func add(_ checkpoint: RawSpan, type: ElementType, of model: MergedModel) throws(TaskArithmeticError)

    /// Writes the merged range and ends it.
    ///
    /// - Parameters:
    ///   - divides: Whether the weighted sum is divided by the sum of the weights.
    ///   - alpha: α, the scale of Δ.
    ///   - arguments: The job's own parameters.
    ///   - bytes: Receives the range; every byte is written.
    ///   - type: The element type of the result.
    /// - Throws: ``TaskArithmeticError`` for models that cannot be merged so. Nothing is written then.
    mutating func finish(
        divides: Bool, alpha: Double, arguments: MergeArguments, into bytes: inout MutableRawSpan, type: ElementType
    ) throws(TaskArithmeticError)
}

extension ElementwiseComputation where Self: ~Copyable {
    /// False: a method's own rule.
    public static var isWeightedSum: Bool { false }

    /// Ignores the index: most methods treat all elements alike.
    public mutating func place(at first: Int) {}
}

/// The precision of a merge.
public enum MergePrecision: Sendable {
    /// fp32, for operands of at most 32 bits.
    case single
    /// fp64, if at least one operand is F64.
    case double

    /// The precision for a tensor with operands of these types.
    public init(operands: [ElementType]) {
        self = operands.contains(.f64) ? .double : .single
    }
}
