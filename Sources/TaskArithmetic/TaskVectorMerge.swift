public import LinearAlgebra

/// What tells one method of the elementwise engine (``TaskVectorMerge``) from another.
public protocol TaskVectorRule: Sendable {
    /// Which elements of a task vector are kept.
    static var sparsification: Sparsification { get }
    /// Whether the models elect a sign for each element, and only those that agree count.
    static var electsSign: Bool { get }
    /// Whether what is kept is scaled up when the job does not say.
    static var rescales: Bool { get }
}

/// The elementwise engine of the methods that thin out task vectors, and may elect signs, before they add them up.
///
/// The order of steps is mergekit's: sparsify Δ_t of the tensor, rescale, multiply by w_t, elect signs from the
/// weighted vectors, add up those that agree, and divide. The caller scales by α, adds θ_0 and rounds once. Zeros agree
/// with no sign. The divisor is Σ w_t over the models that agree in the element, or over all without an election.
///
/// Source: mergekit's `generalized_task_arithmetic`; each method's paper is named in its file.
public struct TaskVectorMerge<Rule: TaskVectorRule>: StreamedComputation, ~Copyable {
    private let problem: MergeProblem
    private let sparsifier: Sparsifier
    private let countsSigns: Bool
    /// Votes in the first of two passes, then the sum.
    private var sum: Matrix<Double>
    /// The weights that agree, in each element; empty where they do not divide.
    private var divisor: Matrix<Double>
    /// Whether the elected sign is positive, in each element, after the first of two passes.
    private var isPositive: [Bool]?
    private var weightSum = 0.0
    /// Values, twice if signs are elected.
    public private(set) var nextPass: MergePass? = .values

    /// Empty sums.
    ///
    /// - Throws: ``TaskArithmeticError/unexpectedOperands(_:)`` for a block with factors,
    ///   ``TaskArithmeticError/parameterMissing(name:expected:)``, or ``TaskArithmeticError/linearAlgebra(_:)`` when
    ///   memory is short.
    public init(_ problem: MergeProblem) throws(TaskArithmeticError) {
        guard case .matrix(let rows, let columns) = problem.shape else {
            throw .unexpectedOperands("a block with factors")
        }
        let sparsifier = try Sparsifier(
            Rule.sparsification, rescalesByDefault: Rule.rescales, problem.arguments)
        let countsSigns = try problem.arguments.word(.consensus) == "count"
        let sum = try Matrix<Double>.zeros(rows, columns)
        let divides = Rule.electsSign && problem.divides
        let divisor = try Matrix<Double>.zeros(divides ? rows : 0, divides ? columns : 0)
        // Stored last: a value that owns memory is initialised as a whole or not at all.
        self.problem = problem
        self.sparsifier = sparsifier
        self.countsSigns = countsSigns
        self.sum = sum
        self.divisor = divisor
    }

    /// Adds a model's votes in the first of two passes, else its vector.
    ///
    /// - Throws: ``TaskArithmeticError`` for missing parameters, random numbers or statistics.
    public mutating func add(
        _ values: consuming Matrix<Double>, factors: borrowing TaskFactors, of model: MergedModel
    ) throws(TaskArithmeticError) {
        let (columns, sparsifier) = (problem.shape.columns, sparsifier)
        let threshold = try threshold(of: model)
        try values.withMutableSpan { (values: inout MutableSpan<Double>) throws(TaskArithmeticError) in
            try sparsifier.apply(to: &values, columns: columns, of: model, threshold: threshold)
            for index in values.indices { values[index] *= model.weight }
        }
        switch (Rule.electsSign, isPositive) {
        case (true, nil): countsSigns ? addVotes(values) : try addVector(values)
        case (true, .some(let isPositive)): addAgreeing(values, isPositive, weight: model.weight)
        case (false, _):
            weightSum += model.weight
            try addVector(values)
        }
    }

    /// The smallest magnitude of the model that is kept, where the whole model decides.
    private func threshold(of model: MergedModel) throws(TaskArithmeticError) -> Float? {
        guard !problem.statistics.isEmpty else { return nil }
        return try TrimStatistics.threshold(of: model, problem.statistics)
    }

    private mutating func addVector(_ values: borrowing Matrix<Double>) throws(TaskArithmeticError) {
        do { try sum.add(values) } catch { throw .linearAlgebra(error) }
    }

    private mutating func addVotes(_ values: borrowing Matrix<Double>) {
        sum.withMutableSpan { votes in
            values.withSpan { values in
                for index in values.indices where values[index] != 0 { votes[index] += values[index] > 0 ? 1 : -1 }
            }
        }
    }

    private mutating func addAgreeing(_ values: borrowing Matrix<Double>, _ isPositive: [Bool], weight: Double) {
        sum.withMutableSpan { sum in
            values.withSpan { values in
                for index in values.indices {
                    let value = values[index]
                    if isPositive[index] ? value > 0 : value < 0 { sum[index] += value }
                }
            }
        }
        guard divisor.elementCount > 0 else { return }
        divisor.withMutableSpan { divisor in
            values.withSpan { values in
                for index in values.indices {
                    let value = values[index]
                    if isPositive[index] ? value > 0 : value < 0 { divisor[index] += weight }
                }
            }
        }
    }

    /// Ends a pass; after the first of two, elects the signs.
    public mutating func endPass() {
        guard Rule.electsSign, isPositive == nil else {
            nextPass = nil
            return
        }
        // A tie is positive, as in mergekit.
        isPositive = sum.withSpan { votes in votes.indices.map { votes[$0] >= 0 } }
        sum.clearPrefix(sum.elementCount)
    }

    /// Divides the sum.
    ///
    /// - Throws: ``TaskArithmeticError/weightsCancel`` for a divisor of zero.
    public consuming func finish() throws(TaskArithmeticError) -> MergedBlock {
        let (divides, weightSum) = (problem.divides, weightSum)
        var sum = sum
        guard divides else { return MergedBlock(values: sum) }
        guard !Rule.electsSign else {
            divisor.withSpan { divisor in
                sum.withMutableSpan { sum in
                    // Where no model agrees, the sum is zero.
                    for index in sum.indices where divisor[index] != 0 { sum[index] /= divisor[index] }
                }
            }
            return MergedBlock(values: sum)
        }
        guard weightSum != 0 else { throw .weightsCancel }
        sum.withMutableSpan { sum in for index in sum.indices { sum[index] /= weightSum } }
        return MergedBlock(values: sum)
    }

    /// The cost: some ten operations for an element of each model in each pass.
    ///
    /// Memory holds θ_0, a task vector and the sum; with an election the divisors and the signs too, and with ranks the
    /// order of a row.
    public static func cost(of shape: MergeProblem.Shape, models: Int) -> MergeCost {
        let elements = Double(shape.rows) * Double(shape.columns)
        let passes = Rule.electsSign ? 2 : 1
        let ranks = Rule.sparsification == .atRandomByRank ? 3 * Double(shape.columns) : 0
        return MergeCost(
            multiplyAdds: 10 * Double(models * passes) * elements,
            numbers: (Rule.electsSign ? 4.125 : 3) * elements + ranks, factorPasses: 0, valuePasses: passes)
    }
}
