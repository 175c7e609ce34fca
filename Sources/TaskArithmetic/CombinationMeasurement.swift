import LinearAlgebra

/// The rule of a method whose result is a combination of the models: their factors, from the inner products.
public protocol CombinationRule: Sendable {
    /// Finds the factors.
    ///
    /// - Parameters:
    ///   - products: The inner products of the models' values, or of their differences from the origin; the origin
    ///     itself is not among them.
    ///   - problem: The problem.
    /// - Returns: The combination.
    /// - Throws: ``TaskArithmeticError`` where the method has no result.
    static func combination(
        of products: InnerProducts, _ problem: MergeProblem
    ) throws(TaskArithmeticError) -> CombinationFactors
}

/// The factors of a combination of the models.
public struct CombinationFactors: Equatable, Sendable {
    /// A factor for each model; none for an origin.
    var factors: [Double]
    /// Whether they are those of the differences from the first model, which is then added; its own factor is not read.
    ///
    /// This form keeps values exactly in which the models are equal.
    var startsAtFirst = false
}

/// Measures the inner products of the models' values, and finds the factors of their combination.
///
/// One pass is enough, because the vectors that a method makes on its way are combinations too.
public struct CombinationMeasurement<Rule: CombinationRule>: TensorMeasurement, ~Copyable {
    private let problem: MergeProblem
    private let hasOrigin: Bool
    private var products: InnerProducts
    private var differences: ModelBlock
    /// Whether nothing is measured yet.
    public private(set) var needsPass = true

    /// No products yet.
    ///
    /// - Throws: ``TaskArithmeticError/unexpectedOperands(_:)`` for a block with factors or too many models, or
    ///   ``TaskArithmeticError/linearAlgebra(_:)`` when memory is short.
    public init(_ problem: MergeProblem) throws(TaskArithmeticError) {
        guard case .matrix = problem.shape, problem.models.count < ModelStatisticsLimits.numbers else {
            throw .unexpectedOperands("\(problem.models.count) models")
        }
        let hasOrigin = problem.models.first?.isOrigin ?? false
        let count = problem.models.count - (hasOrigin ? 1 : 0)
        let differences = try ModelBlock(models: hasOrigin ? count : 0)
        self.problem = problem
        self.hasOrigin = hasOrigin
        products = InnerProducts(count: count)
        self.differences = differences
    }

    /// Adds a block's products.
    ///
    /// - Throws: ``TaskArithmeticError/linearAlgebra(_:)``.
    public mutating func add(_ block: borrowing ModelBlock) throws(TaskArithmeticError) {
        guard hasOrigin else { return try products.add(block) }
        try differences.begin(at: block.first, count: block.count)
        let count = products.count
        for model in 0..<count {
            do {
                try differences.withMutableValues(of: model) {
                    (difference: inout MutableSpan<Double>) throws(LinearAlgebraError) in
                    block.withValues(of: model + 1) { values in
                        for index in values.indices { difference[index] = values[index] }
                    }
                    try block.withValues(of: 0) { (origin: Span<Double>) throws(LinearAlgebraError) in
                        try VectorOperations.add(origin, times: -1, to: &difference)
                    }
                }
            } catch {
                throw .linearAlgebra(error)
            }
        }
        try products.add(differences)
    }

    /// Ends the only pass.
    public mutating func endPass() { needsPass = false }

    /// Whether the combination starts at the first model, and the factors of all models.
    ///
    /// - Throws: ``TaskArithmeticError/noTasks``, or what the rule throws.
    public consuming func finish() throws(TaskArithmeticError) -> [Double] {
        guard !problem.models.isEmpty else { throw .noTasks }
        guard products.count > 0 else { return [1, 0] }
        let found = try Rule.combination(of: products, problem)
        // The factors of an origin's differences, whose sum is added to it.
        if hasOrigin, !found.startsAtFirst { return [1, 0] + found.factors }
        if hasOrigin {
            let others = found.factors.dropFirst()
            return [1, 0, 1 - others.reduce(0, +)] + others
        }
        return [found.startsAtFirst ? 1 : 0] + found.factors
    }

    /// The cost: one operation for an element of each pair of models, and the pairs in memory.
    public static func cost(of shape: MergeProblem.Shape, models: Int) -> MergeCost {
        let elements = Double(shape.rows) * Double(shape.columns)
        let pairs = Double(models * (models + 1)) / 2
        return MergeCost(
            multiplyAdds: 2 * pairs * elements, numbers: Double(models * (models + ModelBlock.capacity)),
            factorPasses: 0, valuePasses: 1)
    }
}

extension InnerProducts {
    /// Adds the products of a block's elements.
    fileprivate mutating func add(_ block: borrowing ModelBlock) throws(TaskArithmeticError) {
        for first in 0..<count {
            for second in first..<count {
                let product = try carryingErrors { () throws(LinearAlgebraError) in
                    try block.withValues(of: first) { (values: Span<Double>) throws(LinearAlgebraError) -> Double in
                        try block.withValues(of: second) { (others: Span<Double>) throws(LinearAlgebraError) in
                            try VectorOperations.dot(values, others)
                        }
                    }
                }
                add(product, first, second)
            }
        }
    }
}
