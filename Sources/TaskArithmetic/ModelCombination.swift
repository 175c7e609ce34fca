public import LinearAlgebra

/// A combination of the models by the factors that ``CombinationMeasurement`` found.
public struct ModelCombination: ElementwiseComputation, ~Copyable {
    private let factors: CombinationFactors
    /// θ_0, or the first model, or zero.
    private var start: Matrix<Double>
    private var sum: Matrix<Double>
    private var count = 0
    private var position = 0
    /// Whether the models are added up from zero.
    private var isPlain = false

    /// Buffers for ranges of up to `capacity` elements, in fp64 whatever the precision.
    ///
    /// - Throws: ``TaskArithmeticError/unexpectedOperands(_:)`` without numbers, or
    ///   ``TaskArithmeticError/linearAlgebra(_:)`` when memory is short.
    public init(capacity: Int, precision: MergePrecision, statistics: [[Double]]) throws(TaskArithmeticError) {
        guard let numbers = statistics.last, let form = numbers.first, numbers.allSatisfy(\.isFinite) else {
            throw .unexpectedOperands("a tensor without numbers")
        }
        let start = try Matrix<Double>.zeros(1, capacity)
        let sum = try Matrix<Double>.zeros(1, capacity)
        factors = CombinationFactors(factors: Array(numbers.dropFirst()), startsAtFirst: form == 1)
        self.start = start
        self.sum = sum
    }

    /// Starts a range of task vectors.
    ///
    /// - Throws: ``TaskArithmeticError/rangeExceedsCapacity(elements:capacity:)``.
    public mutating func begin(base: RawSpan, type: ElementType) throws(TaskArithmeticError) {
        try begin(elements: base.byteCount / type.byteCount)
        isPlain = false
        try Self.decode(base, type, into: &start, count)
    }

    /// Starts a range of models.
    ///
    /// - Throws: ``TaskArithmeticError/rangeExceedsCapacity(elements:capacity:)``.
    public mutating func begin(elements: Int) throws(TaskArithmeticError) {
        guard elements <= start.columnCount else {
            throw .rangeExceedsCapacity(elements: elements, capacity: start.columnCount)
        }
        (count, position, isPlain) = (elements, 0, !factors.startsAtFirst)
        start.clearPrefix(elements)
        // A sum that starts at the negative zero keeps the signs of zeros.
        sum.withMutablePrefix(elements) { sum in for index in sum.indices { sum[index] = -0.0 } }
    }

    /// Ignores the base of task vectors, whose own is zero.
    public mutating func addBase(weight: Double) {}

    /// Adds a model by its factor.
    ///
    /// - Throws: ``TaskArithmeticError`` for more models than were measured, or for a range of another length.
    public mutating func add(
        _ checkpoint: RawSpan, type: ElementType, of model: MergedModel
    ) throws(TaskArithmeticError) {
        guard position < factors.factors.count else {
            throw .unexpectedOperands("more than \(factors.factors.count) models")
        }
        defer { position += 1 }
        guard position > 0 || !factors.startsAtFirst else {
            return try Self.decode(checkpoint, type, into: &start, count)
        }
        let (count, factor) = (count, factors.factors[position])
        do {
            try start.withSpan { (start: Span<Double>) throws(LinearAlgebraError) in
                try sum.withMutablePrefix(count) { (sum: inout MutableSpan<Double>) throws(LinearAlgebraError) in
                    // Models that are added up from zero keep the signs of zeros.
                    try type.addDifference(
                        times: factor, of: checkpoint, from: start.extracting(first: count), to: &sum)
                }
            }
        } catch {
            throw .linearAlgebra(error)
        }
    }

    private static func decode(
        _ bytes: RawSpan, _ type: ElementType, into matrix: inout Matrix<Double>, _ count: Int
    ) throws(TaskArithmeticError) {
        do {
            try matrix.withMutablePrefix(count) { (values: inout MutableSpan<Double>) throws(LinearAlgebraError) in
                try type.decode(bytes, into: &values)
            }
        } catch {
            throw .linearAlgebra(error)
        }
    }

    /// Writes the combination.
    ///
    /// - Throws: ``TaskArithmeticError/noTasks``, or ``TaskArithmeticError/linearAlgebra(_:)`` for a range of another
    ///   length.
    public mutating func finish(
        divides: Bool, alpha: Double, arguments: MergeArguments, into bytes: inout MutableRawSpan, type: ElementType
    ) throws(TaskArithmeticError) {
        guard position == factors.factors.count else { throw .noTasks }
        let (count, isPlain) = (count, isPlain)
        do {
            try start.withSpan { (start: Span<Double>) throws(LinearAlgebraError) in
                try sum.withMutablePrefix(count) { (sum: inout MutableSpan<Double>) throws(LinearAlgebraError) in
                    guard !isPlain else {
                        VectorOperations.scale(&sum, by: alpha)
                        return try type.encode(sum.span, into: &bytes)
                    }
                    try type.encodeSum(
                        base: start.extracting(first: count), adding: &sum, times: alpha, into: &bytes)
                }
            }
        } catch {
            throw .linearAlgebra(error)
        }
    }
}

extension MergeScope {
    /// Combinations of the models: by a rule's factors in ranges, or as whole tensors.
    ///
    /// - Parameters:
    ///   - rule: The rule.
    ///   - whole: The merge of whole tensors.
    ///   - isUsed: Whether the rule has the parameters of a tensor.
    /// - Returns: The scope.
    static func combined<Rule: CombinationRule>(
        by rule: Rule.Type, whole: any (StreamedComputation & ~Copyable).Type,
        where isUsed: @escaping @Sendable (MergeArguments) -> Bool = { _ in true }
    ) -> MergeScope {
        .tensors(
            whole,
            measured: MeasuredElements(CombinationMeasurement<Rule>.self, ModelCombination.self, isUsed: isUsed))
    }
}
