public import LinearAlgebra

/// Adds up thinned task vectors of which the bounds are known, and may elect signs: ``TaskVectorMerge`` in ranges.
///
/// Source: as there.
public struct SparseSum<Rule: TaskVectorRule>: ElementwiseComputation, ~Copyable {
    private let kept: [KeptMagnitudes]
    private var base: Matrix<Double>
    private var vectors: ModelBlock
    private var sum: Matrix<Double>
    private var divisor: Matrix<Double>
    private var votes: Matrix<Double>
    private var position = 0
    private var first = 0
    private var weights: [Double] = []

    /// Buffers for ranges of up to `capacity` elements, in fp64 whatever the precision.
    ///
    /// - Throws: ``TaskArithmeticError/unexpectedOperands(_:)`` for numbers that no ``SparsityMeasurement`` makes, or
    ///   ``TaskArithmeticError/linearAlgebra(_:)`` when memory is short.
    public init(capacity: Int, precision: MergePrecision, statistics: [[Double]]) throws(TaskArithmeticError) {
        guard let numbers = statistics.last else { throw .unexpectedOperands("a tensor without numbers") }
        let kept = try KeptMagnitudes.list(numbers)
        let base = try Matrix<Double>.zeros(1, capacity)
        let vectors = try ModelBlock(models: kept.count, capacity: capacity)
        let sum = try Matrix<Double>.zeros(1, capacity)
        let divisor = try Matrix<Double>.zeros(1, capacity)
        let votes = try Matrix<Double>.zeros(1, Rule.electsSign ? capacity : 0)
        self.kept = kept
        self.base = base
        self.vectors = vectors
        self.sum = sum
        self.divisor = divisor
        self.votes = votes
    }

    /// Takes note of the first element's index.
    public mutating func place(at first: Int) { self.first = first }

    /// Starts a range.
    ///
    /// - Throws: ``TaskArithmeticError/rangeExceedsCapacity(elements:capacity:)``.
    public mutating func begin(base bytes: RawSpan, type: ElementType) throws(TaskArithmeticError) {
        let count = bytes.byteCount / type.byteCount
        try vectors.begin(at: first, count: count)
        (position, weights) = (0, [])
        do {
            try base.withMutablePrefix(count) { (base: inout MutableSpan<Double>) throws(LinearAlgebraError) in
                try type.decode(bytes, into: &base)
            }
        } catch {
            throw .linearAlgebra(error)
        }
    }

    /// Starts a range without a base.
    ///
    /// - Throws: ``TaskArithmeticError/rangeExceedsCapacity(elements:capacity:)``.
    public mutating func begin(elements: Int) throws(TaskArithmeticError) {
        try vectors.begin(at: first, count: elements)
        (position, weights) = (0, [])
        base.clearPrefix(elements)
    }

    /// Ignores the base, whose vector is zero.
    public mutating func addBase(weight: Double) {}

    /// Thins a model's vector.
    ///
    /// - Throws: ``TaskArithmeticError`` for more models than were measured, or without what the method draws.
    public mutating func add(
        _ checkpoint: RawSpan, type: ElementType, of model: MergedModel
    ) throws(TaskArithmeticError) {
        guard position < kept.count else { throw .unexpectedOperands("more than \(kept.count) models") }
        guard model.weight.isFinite else { throw .weightNotFinite(name: "weight", value: model.weight) }
        let (kept, first, count) = (kept[position], first, vectors.count)
        try vectors.withMutableValues(of: position) { (values: inout MutableSpan<Double>) throws(TaskArithmeticError) in
            do throws(LinearAlgebraError) {
                try type.decode(checkpoint, into: &values)
                try base.withSpan { (base: Span<Double>) throws(LinearAlgebraError) in
                    try VectorOperations.add(base.extracting(first: count), times: -1, to: &values)
                }
            } catch {
                throw .linearAlgebra(error)
            }
            try Rule.sparsification.thin(&values, from: first, of: model, kept)
            if kept.scale != 1 { VectorOperations.scale(&values, by: kept.scale) }
            VectorOperations.scale(&values, by: model.weight)
        }
        weights.append(model.weight)
        position += 1
    }

    /// Elects the signs, adds up and writes the range.
    ///
    /// - Throws: ``TaskArithmeticError/noTasks``, ``TaskArithmeticError/weightsCancel``, or
    ///   ``TaskArithmeticError/linearAlgebra(_:)`` for a range of another length.
    public mutating func finish(
        divides: Bool, alpha: Double, arguments: MergeArguments, into bytes: inout MutableRawSpan, type: ElementType
    ) throws(TaskArithmeticError) {
        guard position == kept.count else { throw .noTasks }
        sum.clearPrefix(vectors.count)
        if Rule.electsSign {
            try addAgreeing(countsSigns: try arguments.word(.consensus) == "count", divides: divides)
        } else {
            try addAll()
            if divides { try divideByWeights() }
        }
        let count = vectors.count
        do {
            try base.withSpan { (base: Span<Double>) throws(LinearAlgebraError) in
                try sum.withMutablePrefix(count) { (sum: inout MutableSpan<Double>) throws(LinearAlgebraError) in
                    try type.encodeSum(base: base.extracting(first: count), adding: &sum, times: alpha, into: &bytes)
                }
            }
        } catch {
            throw .linearAlgebra(error)
        }
        position = 0
    }

    private mutating func addAll() throws(TaskArithmeticError) {
        for model in 0..<position {
            do {
                try vectors.withValues(of: model) { (values: Span<Double>) throws(LinearAlgebraError) in
                    try sum.withMutablePrefix(values.count) {
                        (sum: inout MutableSpan<Double>) throws(LinearAlgebraError) in
                        try VectorOperations.add(values, to: &sum)
                    }
                }
            } catch {
                throw .linearAlgebra(error)
            }
        }
    }

    private mutating func divideByWeights() throws(TaskArithmeticError) {
        let weightSum = weights.reduce(0, +)
        guard weightSum != 0 else { throw .weightsCancel }
        sum.withMutablePrefix(vectors.count) { sum in for index in sum.indices { sum[index] /= weightSum } }
    }

    private mutating func addAgreeing(countsSigns: Bool, divides: Bool) throws(TaskArithmeticError) {
        let count = vectors.count
        votes.clearPrefix(count)
        divisor.clearPrefix(count)
        for model in 0..<position {
            do {
                try vectors.withValues(of: model) { (values: Span<Double>) throws(LinearAlgebraError) in
                    try votes.withMutablePrefix(count) {
                        (votes: inout MutableSpan<Double>) throws(LinearAlgebraError) in
                        if countsSigns {
                            VectorOperations.addSigns(of: values, to: &votes)
                        } else {
                            try VectorOperations.add(values, to: &votes)
                        }
                    }
                }
            } catch {
                throw .linearAlgebra(error)
            }
        }
        for model in 0..<position {
            let weight = weights[model]
            vectors.withValues(of: model) { values in
                votes.withSpan { votes in
                    sum.withMutablePrefix(count) { sum in
                        divisor.withMutablePrefix(count) { divisor in
                            VectorOperations.addAgreeing(
                                values, with: votes.extracting(first: count), weight: weight, to: &sum,
                                divisors: &divisor)
                        }
                    }
                }
            }
        }
        guard divides else { return }
        divisor.withSpan { divisor in
            sum.withMutablePrefix(count) { sum in
                // Where no model agrees, the sum is zero.
                VectorOperations.divide(&sum, byNonzero: divisor.extracting(first: count))
            }
        }
    }
}

extension MergeScope {
    /// Task vectors thinned by a rule: in ranges, or as whole tensors.
    static func thinned<Rule: TaskVectorRule>(by rule: Rule.Type) -> MergeScope {
        .tensors(
            TaskVectorMerge<Rule>.self,
            measured: MeasuredElements(SparsityMeasurement<Rule>.self, SparseSum<Rule>.self))
    }
}
