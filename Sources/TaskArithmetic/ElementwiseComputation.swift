public import LinearAlgebra

/// Merges one range of a tensor element by element, model after model.
///
/// Operands are raw bytes of any mix of element types; the result is rounded once. Ranges are independent, so several
/// threads may share them, each with its own computation, without changing a bit. A computation that is asked for
/// ``MergePrecision/double`` gives the values that ``MergePrecision/single`` approximates.
public protocol ElementwiseComputation: ~Copyable, Sendable {
    /// Buffers for ranges of up to `capacity` elements.
    ///
    /// - Throws: ``TaskArithmeticError`` when memory is short.
    init(capacity: Int, precision: MergePrecision) throws(TaskArithmeticError)

    /// Starts a range with the base's elements θ_0.
    ///
    /// - Throws: ``TaskArithmeticError`` for a range that does not fit; it is then empty.
    mutating func begin(base: RawSpan, type: ElementType) throws(TaskArithmeticError)

    /// Starts a range of so many elements without a base, as if θ_0 were zero.
    ///
    /// - Throws: ``TaskArithmeticError`` for a range that does not fit; it is then empty.
    mutating func begin(elements: Int) throws(TaskArithmeticError)

    /// Counts the base itself among the models: its vector is zero, its weight w_0 is not.
    ///
    /// - Throws: ``TaskArithmeticError`` for a weight that is not finite.
    mutating func addBase(weight: Double) throws(TaskArithmeticError)

    /// Adds a model's range, with its weight and its own parameters.
    ///
    /// - Throws: ``TaskArithmeticError`` for another number of elements or a missing parameter; nothing is added then.
    mutating func add(
        _ checkpoint: RawSpan, type: ElementType, weight: Double, arguments: MergeArguments
    ) throws(TaskArithmeticError)

    /// Writes the merged range; the next one must begin.
    ///
    /// - Parameters:
    ///   - divides: Whether weights are divided by their sum.
    ///   - alpha: α, the scale of Δ.
    ///   - arguments: The job's own parameters.
    ///   - bytes: Receives the range; every byte is written.
    ///   - type: The element type of the result.
    /// - Throws: ``TaskArithmeticError`` for models that have no such merge; nothing is written then.
    mutating func finish(
        divides: Bool, alpha: Double, arguments: MergeArguments, into bytes: inout MutableRawSpan, type: ElementType
    ) throws(TaskArithmeticError)
}

/// The precision a merge is computed in.
public enum MergePrecision: Sendable {
    /// fp32, for operands of at most 32 bits.
    case single
    /// fp64, as soon as one operand is F64.
    case double

    /// The precision for a tensor with operands of these types.
    public init(operands: [ElementType]) {
        self = operands.contains(.f64) ? .double : .single
    }
}
