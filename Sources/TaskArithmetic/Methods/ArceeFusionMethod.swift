public import LinearAlgebra

extension MergeMethod {
    /// The elements of one model that stand out by their importance.
    public static let arceeFusion = MergeMethod(
        name: "arcee_fusion", paper: Paper("Goddard et al. 2024", arXiv: "2403.13257"),
        formula: "θ₀ + m_1 Δ_1, m_1 = 1 where s = |Δ_1| KL(softmax θ_1 ‖ softmax θ₀) ≥ q₂ + 1.5 (q₃ − q₁)",
        summary: """
            Takes the elements of one model whose importance s lies above a threshold by the quartiles of its tensor, and \
            the base elsewhere. The divergence is that of the element's row.
            """,
        parameters: [], terms: .models, base: .always, modelCount: 2...2, scope: .tensors(ImportantElements.self))
}

/// Takes the important elements of one model.
///
/// Source: mergekit's `arcee_fusion`. Its quartiles are those of a random sample in tensors of more than a million
/// elements; here they are those of all elements.
public struct ImportantElements: StreamedComputation, ~Copyable {
    /// What is added to probabilities, so that none is 0.
    private static let leastProbability = 1e-8

    private let rows: Int
    private let columns: Int
    private var base: Matrix<Double>?
    private var merged: Matrix<Double>?
    /// Values, once.
    public private(set) var nextPass: MergePass? = .values

    /// Nothing to choose from yet.
    ///
    /// - Throws: ``TaskArithmeticError/unexpectedOperands(_:)`` for anything but the base and one model.
    public init(_ problem: MergeProblem) throws(TaskArithmeticError) {
        guard case .matrix(let rows, let columns) = problem.shape, problem.models.count == 2,
            problem.models[0].place == 0
        else { throw .unexpectedOperands("\(problem.models.count) models") }
        (self.rows, self.columns) = (rows, columns)
    }

    /// Keeps the base, which comes first, and chooses when the model comes.
    ///
    /// - Throws: ``TaskArithmeticError/linearAlgebra(_:)`` when memory is short.
    public mutating func add(
        _ values: consuming Matrix<Double>, factors: borrowing TaskFactors, of model: MergedModel
    ) throws(TaskArithmeticError) {
        guard let base = base.take() else {
            base = .some(values)
            return
        }
        var scores = try Matrix<Double>.zeros(rows, columns)
        let columns = columns
        base.withSpan { base in
            values.withMutableSpan { values in
                scores.withMutableSpan { scores in
                    for start in stride(from: 0, to: values.count, by: max(1, columns)) {
                        let row = start..<(start + columns)
                        let divergence = Self.divergence(of: values, from: base, in: row)
                        for index in row { scores[index] = (values[index] - base[index]).magnitude * divergence }
                    }
                }
                let threshold = scores.withSpan { Self.threshold(of: $0) }
                scores.withSpan { scores in
                    for index in values.indices where scores[index] < threshold { values[index] = base[index] }
                }
            }
        }
        merged = .some(values)
    }

    /// Σ p ln(p / q) over a row, where p and q are the softmax of both.
    private static func divergence(
        of values: borrowing MutableSpan<Double>, from base: Span<Double>, in row: Range<Int>
    ) -> Double {
        var (highest, baseHighest) = (-Double.infinity, -Double.infinity)
        for index in row {
            highest = max(highest, values[index])
            baseHighest = max(baseHighest, base[index])
        }
        var (sum, baseSum) = (0.0, 0.0)
        for index in row {
            sum += Exponential.natural(values[index] - highest)
            baseSum += Exponential.natural(base[index] - baseHighest)
        }
        var divergence = 0.0
        for index in row {
            let own = Exponential.natural(values[index] - highest) / sum + leastProbability
            let other = Exponential.natural(base[index] - baseHighest) / baseSum + leastProbability
            divergence += own * Logarithm.natural(own / other)
        }
        // Rounding can make that of nearly equal rows negative.
        return max(0, divergence)
    }

    /// The median and one and a half times the distance of the quartiles.
    private static func threshold(of scores: Span<Double>) -> Double {
        guard !scores.isEmpty else { return 0 }
        let last = scores.count - 1
        // No place is interpolated.
        let quartiles = [last / 4, last / 2, 3 * last / 4].map {
            OrderStatistic.value(at: $0, of: scores)
        }
        return quartiles[1] + 1.5 * (quartiles[2] - quartiles[0])
    }

    /// Ends the only pass.
    public mutating func endPass() { nextPass = nil }

    /// Gives the tensor.
    ///
    /// - Throws: ``TaskArithmeticError/noTasks`` if no model came.
    public consuming func finish() throws(TaskArithmeticError) -> MergedBlock {
        guard let merged = merged.take() else { throw .noTasks }
        return MergedBlock(values: merged)
    }

    /// The cost: four exponentials, a logarithm and three selections for each element.
    ///
    /// Memory holds the caller's zeros, the base, the model and the importance.
    public static func cost(of shape: MergeProblem.Shape, models: Int) -> MergeCost {
        let elements = Double(shape.rows) * Double(shape.columns)
        return MergeCost(
            multiplyAdds: 150 * elements, numbers: 4 * elements + 65_536, factorPasses: 0, valuePasses: 1)
    }
}
