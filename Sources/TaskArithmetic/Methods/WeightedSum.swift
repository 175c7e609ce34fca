public import LinearAlgebra

/// Adds weighted task vectors: `θ_0 + α · Σ w_t (θ_t − θ_0)`, or the sum divided by `Σ w_t`.
///
/// Source: Ilharco et al. 2023 (arXiv 2212.04089). Operands are raw bytes of any mix of element types; the result is
/// rounded once. The buffers are reused from range to range. Small ranges keep both in the first-level cache, where a
/// merge costs less than reading and writing the bytes. Ranges are independent. Threads may share them, each with its
/// own merge, without changing a bit.
public struct WeightedSum: ElementwiseComputation, ~Copyable {
    /// The most elements of a range.
    public let capacity: Int
    /// The precision of the arithmetic.
    public let precision: MergePrecision
    // The buffers of the other precision are empty.
    private var single: RangeBuffers<Float>
    private var double: RangeBuffers<Double>
    private var count = 0
    private var weightSum = 0.0
    private var taskCount = 0

    /// True: a weighted sum.
    public static var isWeightedSum: Bool { true }

    /// Buffers for ranges of up to `capacity` elements; a sum needs no statistics.
    /// - Throws: ``TaskArithmeticError/linearAlgebra(_:)`` when memory is short.
    public init(capacity: Int, precision: MergePrecision, statistics: [[Double]]) throws(TaskArithmeticError) {
        try self.init(capacity: capacity, precision: precision)
    }

    /// Buffers for ranges of up to `capacity` elements.
    /// - Throws: ``TaskArithmeticError/linearAlgebra(_:)`` when memory is short.
    public init(capacity: Int, precision: MergePrecision) throws(TaskArithmeticError) {
        let single = try carryingErrors { () throws(LinearAlgebraError) in
            try RangeBuffers<Float>(capacity: precision == .single ? capacity : 0)
        }
        let double = try carryingErrors { () throws(LinearAlgebraError) in
            try RangeBuffers<Double>(capacity: precision == .double ? capacity : 0)
        }
        self.single = single
        self.double = double
        self.capacity = capacity
        self.precision = precision
    }

    /// Begins a range with the base's elements θ_0.
    ///
    /// - Parameters:
    ///   - base: The range's bytes, of any alignment.
    ///   - type: Their element type.
    /// - Throws: ``TaskArithmeticError/partialElement(elementType:byteCount:)`` or
    ///   ``TaskArithmeticError/rangeExceedsCapacity(elements:capacity:)``; the range is then empty.
    public mutating func begin(base: RawSpan, type: ElementType) throws(TaskArithmeticError) {
        (count, weightSum, taskCount) = (0, 0, 0)
        guard base.byteCount.isMultiple(of: type.byteCount) else {
            throw .partialElement(elementType: type.rawValue, byteCount: base.byteCount)
        }
        let elements = base.byteCount / type.byteCount
        guard elements <= capacity else { throw .rangeExceedsCapacity(elements: elements, capacity: capacity) }
        do {
            switch precision {
            case .single: try single.begin(base: base, type: type, count: elements)
            case .double: try double.begin(base: base, type: type, count: elements)
            }
        } catch {
            throw .linearAlgebra(error)
        }
        count = elements
    }

    /// Begins a range without a base, as if θ_0 were zero; tasks then add `w_t θ_t`.
    ///
    /// - Parameter elements: The range's elements.
    /// - Throws: ``TaskArithmeticError/rangeExceedsCapacity(elements:capacity:)``; the range is then empty.
    public mutating func begin(elements: Int) throws(TaskArithmeticError) {
        (count, weightSum, taskCount) = (0, 0, 0)
        guard elements <= capacity else { throw .rangeExceedsCapacity(elements: elements, capacity: capacity) }
        switch precision {
        case .single: single.beginAtZero(count: elements)
        case .double: double.beginAtZero(count: elements)
        }
        count = elements
    }

    /// Counts the base as a task: its vector is zero, but its weight counts.
    ///
    /// - Parameter weight: w_0.
    /// - Throws: ``TaskArithmeticError/weightNotFinite(name:value:)``.
    public mutating func addBase(weight: Double) throws(TaskArithmeticError) {
        guard weight.isFinite else { throw .weightNotFinite(name: "weight", value: weight) }
        weightSum += weight
        taskCount += 1
    }

    /// Adds one task with the weight of the model.
    ///
    /// - Throws: What ``add(_:type:weight:)`` throws.
    public mutating func add(
        _ checkpoint: RawSpan, type: ElementType, of model: MergedModel
    ) throws(TaskArithmeticError) {
        try add(checkpoint, type: type, weight: model.weight)
    }

    /// Adds one task: `sum += w_t (θ_t − θ_0)`.
    ///
    /// A task of weight 0 adds nothing, whatever its checkpoint holds.
    ///
    /// - Parameters:
    ///   - checkpoint: The range's bytes of θ_t, of any alignment; not read when the weight is 0.
    ///   - type: Their element type.
    ///   - weight: w_t; negative for negation.
    /// - Throws: ``TaskArithmeticError/weightNotFinite(name:value:)``, or ``TaskArithmeticError/linearAlgebra(_:)``
    ///   when the range has another number of elements than the base's; the sum is then unchanged.
    public mutating func add(
        _ checkpoint: RawSpan,
        type: ElementType,
        weight: Double
    ) throws(TaskArithmeticError) {
        guard weight.isFinite else { throw .weightNotFinite(name: "weight", value: weight) }
        guard weight != 0 else {
            taskCount += 1
            return
        }
        do {
            switch precision {
            case .single: try single.add(checkpoint, type: type, weight: weight, count: count)
            case .double: try double.add(checkpoint, type: type, weight: weight, count: count)
            }
        } catch {
            throw .linearAlgebra(error)
        }
        weightSum += weight
        taskCount += 1
    }

    /// Writes the merged range; the next range must begin with ``begin(base:type:)``.
    ///
    /// - Parameters:
    ///   - divides: Whether the sum is divided by Σ w_t.
    ///   - alpha: α, the scale of Δ.
    ///   - arguments: None.
    ///   - bytes: The range's bytes of the result, of any alignment; every byte is written.
    ///   - type: Their element type.
    /// - Throws: ``TaskArithmeticError/noTasks``, ``TaskArithmeticError/weightsCancel``,
    ///   ``TaskArithmeticError/weightNotFinite(name:value:)``, or ``TaskArithmeticError/linearAlgebra(_:)`` for a range
    ///   of another length; nothing is written then.
    public mutating func finish(
        divides: Bool,
        alpha: Double = 1,
        arguments: MergeArguments = MergeArguments(),
        into bytes: inout MutableRawSpan,
        type: ElementType
    ) throws(TaskArithmeticError) {
        guard taskCount > 0 else { throw .noTasks }
        guard !divides || weightSum != 0 else { throw .weightsCancel }
        let scale = divides ? alpha / weightSum : alpha
        guard scale.isFinite else { throw .weightNotFinite(name: "scale", value: scale) }
        do {
            switch precision {
            case .single: try single.finish(scale: scale, into: &bytes, type: type, count: count)
            case .double: try double.finish(scale: scale, into: &bytes, type: type, count: count)
            }
        } catch {
            throw .linearAlgebra(error)
        }
        taskCount = 0
    }
}
