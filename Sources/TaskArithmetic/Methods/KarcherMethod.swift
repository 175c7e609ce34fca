public import LinearAlgebra

extension MergeMethod {
    /// The mean of directions on the sphere, with the mean length.
    public static let karcher = MergeMethod(
        name: "karcher", paper: Paper("after Goddard et al. 2024", arXiv: "2603.04972"),
        formula: "Σ ‖θ_t‖ / T · u, u = argmin Σ ∠(u, θ_t)²",
        summary: """
            Takes the Riemannian mean of the models' directions, and their mean length. All models count alike. A base \
            that is given counts as a model, as in mergekit.
            """,
        parameters: [.iterationLimit, .tolerance], terms: .models, base: .whenGiven,
        scope: .combined(by: KarcherRule.self, whole: DirectionMean.self))
}

extension MergeParameter {
    /// The most iterations.
    public static let iterationLimit = MergeParameter(
        "max_iter", .count(1...1000), default: .value(.count(10)), level: .job, variesByTensor: false,
        meaning: "most iterations")

    /// Where an iteration ends.
    public static let tolerance = MergeParameter(
        "tol", .number(.above(0)), default: .value(.number(1e-5)), level: .job, variesByTensor: true,
        meaning: "angle below which the mean has converged, and norm below which a model has no direction")
}

/// Iterates u ← exp_u(Σ log_u(u_t) / T), with one pass over the models for each step.
///
/// Source: mergekit's `karcher`, in fp64.
public struct DirectionMean: StreamedComputation, ~Copyable {
    private let limit: Int
    private let tolerance: Double
    private let count: Int
    private var norms: [Double] = []
    private var position = 0
    private var steps = 0
    /// u, from the second pass on.
    private var mean: Matrix<Double>?
    private var sum: Matrix<Double>
    /// Whether the pass takes the first direction for u, because the directions cancel.
    private var takesFirst = false
    /// Values, in each iteration.
    public private(set) var nextPass: MergePass? = .values

    /// Empty sums.
    ///
    /// - Throws: ``TaskArithmeticError/unexpectedOperands(_:)`` for a block with factors, or
    ///   ``TaskArithmeticError/linearAlgebra(_:)`` when memory is short.
    public init(_ problem: MergeProblem) throws(TaskArithmeticError) {
        guard case .matrix(let rows, let columns) = problem.shape else {
            throw .unexpectedOperands("a block with factors")
        }
        let limit = try problem.arguments.count(.iterationLimit)
        let tolerance = try problem.arguments.number(.tolerance)
        let sum = try Matrix<Double>.zeros(rows, columns)
        self.limit = limit
        self.tolerance = tolerance
        count = problem.models.count
        self.sum = sum
    }

    /// Adds a model's direction, then its logarithm at u.
    ///
    /// - Throws: ``TaskArithmeticError/linearAlgebra(_:)`` for another shape.
    public mutating func add(
        _ values: consuming Matrix<Double>, factors: borrowing TaskFactors, of model: MergedModel
    ) throws(TaskArithmeticError) {
        do {
            guard norms.count == count else {
                let norm = try values.frobeniusNorm()
                norms.append(norm)
                if count == 1 {
                    try sum.add(values)
                } else if norm > tolerance {
                    try sum.add(values, times: 1 / norm)
                }
                return
            }
            let norm = norms[position]
            position += 1
            guard norm > tolerance else { return }
            if takesFirst {
                if norms[..<(position - 1)].allSatisfy({ $0 <= tolerance }) { try sum.add(values, times: 1 / norm) }
                return
            }
            guard let mean = mean.take() else { return }
            let cosine = min(1, max(-1, try values.dot(mean) / norm))
            if let way = KarcherRule.way(cosine: cosine, tolerance: tolerance) {
                let factor = way / Double(norms.count { $0 > tolerance })
                try sum.add(values, times: factor / norm)
                try sum.add(mean, times: -factor * cosine)
            }
            self.mean = .some(mean)
        } catch { throw .linearAlgebra(error) }
    }

    /// Makes a step, and ends where it is small or the last.
    ///
    /// - Throws: ``TaskArithmeticError/linearAlgebra(_:)`` when memory is short.
    public mutating func endPass() throws(TaskArithmeticError) {
        position = 0
        do {
            let norm = try sum.frobeniusNorm()
            if let last = mean.take() {
                guard norm >= tolerance else { return end(at: last) }
                var next = last
                let (sine, cosine) = Trigonometry.sineAndCosine(norm)
                next.withMutableSpan { next in for index in next.indices { next[index] *= cosine } }
                try next.add(sum, times: sine / norm)
                let length = try next.frobeniusNorm()
                next.withMutableSpan { next in for index in next.indices { next[index] /= length } }
                steps += 1
                guard steps < limit else { return end(at: next) }
                mean = .some(next)
            } else {
                // One model is itself, and models without direction sum to zero.
                guard count > 1, norms.contains(where: { $0 > tolerance }) else {
                    nextPass = nil
                    return
                }
                // The mean of n directions, of which `norm` is n times the length.
                let directed = Double(norms.count { $0 > tolerance })
                takesFirst = !takesFirst && norm / directed < tolerance
                if !takesFirst {
                    var first = try Matrix<Double>(rows: sum.rowCount, columns: sum.columnCount)
                    try first.add(sum, times: 1 / norm)
                    mean = .some(first)
                }
            }
            sum.clearPrefix(sum.elementCount)
        } catch { throw .linearAlgebra(error) }
    }

    /// Keeps u as the result's direction.
    private mutating func end(at mean: consuming Matrix<Double>) {
        self.mean = .some(mean)
        nextPass = nil
    }

    /// Restores the length.
    ///
    /// - Throws: ``TaskArithmeticError/noTasks`` if no model came.
    public consuming func finish() throws(TaskArithmeticError) -> MergedBlock {
        guard !norms.isEmpty else { throw .noTasks }
        let length = norms.reduce(0, +) / Double(norms.count)
        guard var mean = mean.take() else {
            let sum = sum
            return MergedBlock(values: sum)
        }
        mean.withMutableSpan { mean in for index in mean.indices { mean[index] *= length } }
        return MergedBlock(values: mean)
    }

    /// The cost at the default of ``MergeParameter/iterationLimit``.
    ///
    /// Memory holds the caller's zeros, a model, u and the sum.
    public static func cost(of shape: MergeProblem.Shape, models: Int) -> MergeCost {
        let elements = Double(shape.rows) * Double(shape.columns)
        return MergeCost(
            multiplyAdds: 33 * Double(models) * elements, numbers: 4 * elements, factorPasses: 0, valuePasses: 11)
    }
}

/// The combination of ``MergeMethod/karcher``.
public enum KarcherRule: CombinationRule {
    /// The factors of all models, which are those of u times the mean length.
    ///
    /// - Throws: ``TaskArithmeticError/parameterMissing(name:expected:)``.
    public static func combination(
        of products: InnerProducts, _ problem: MergeProblem
    ) throws(TaskArithmeticError) -> CombinationFactors {
        let limit = try problem.arguments.count(.iterationLimit)
        let tolerance = try problem.arguments.number(.tolerance)
        guard products.count > 1 else { return CombinationFactors(factors: [1]) }
        let norms = (0..<products.count).map(products.norm)
        let directed = norms.indices.filter { norms[$0] > tolerance }
        // Models without direction sum to zero.
        guard let first = directed.first else { return CombinationFactors(factors: norms.map { _ in 0 }) }
        var mean = norms.map { $0 > tolerance ? 1 / $0 : 0 }
        if products.norm(of: mean) / Double(directed.count) < tolerance {
            // The directions cancel.
            mean = norms.indices.map { $0 == first ? 1 / norms[first] : 0 }
        }
        mean = normalized(mean, products)
        for _ in 0..<limit {
            let step = logarithmSum(at: mean, products, norms, directed, tolerance)
            let norm = products.norm(of: step)
            guard norm >= tolerance else { break }
            let (sine, cosine) = Trigonometry.sineAndCosine(norm)
            mean = normalized(zip(mean, step).map { cosine * $0 + sine / norm * $1 }, products)
        }
        let length = norms.reduce(0, +) / Double(norms.count)
        return CombinationFactors(factors: mean.map { $0 * length })
    }

    /// φ / sin φ of a model at the angle φ from u.
    ///
    /// - Parameters:
    ///   - cosine: cos φ.
    ///   - tolerance: The angle below which there is no way to go.
    /// - Returns: The factor; `nil` for no step. Every way leads to an opposite direction, so it makes none.
    static func way(cosine: Double, tolerance: Double) -> Double? {
        let angle = Trigonometry.arcCosine(cosine)
        let sine = Trigonometry.sineAndCosine(angle).sine
        // Rounding alone makes a sine of 1e-8.
        guard angle >= tolerance, cosine > 0 || sine >= 1e-6 else { return nil }
        return angle / sine
    }

    private static func normalized(_ factors: [Double], _ products: InnerProducts) -> [Double] {
        let norm = products.norm(of: factors)
        return factors.map { $0 / norm }
    }

    /// Σ log_u(u_t) / T over the models with a direction.
    private static func logarithmSum(
        at mean: [Double], _ products: InnerProducts, _ norms: [Double], _ directed: [Int], _ tolerance: Double
    ) -> [Double] {
        var sum = [Double](repeating: 0, count: mean.count)
        for model in directed {
            let cosine = min(1, max(-1, products.product(model, with: mean) / norms[model]))
            guard let way = way(cosine: cosine, tolerance: tolerance) else { continue }
            let factor = way / Double(directed.count)
            sum[model] += factor / norms[model]
            for other in mean.indices { sum[other] -= factor * cosine * mean[other] }
        }
        return sum
    }
}
