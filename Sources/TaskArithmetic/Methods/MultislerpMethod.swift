public import LinearAlgebra

extension MergeMethod {
    /// The weighted mean of directions, one step from their mean, with the mean length.
    public static let multislerp = MergeMethod(
        name: "multislerp", paper: Paper("Goddard et al. 2024", arXiv: "2403.13257"),
        formula: "Σ w_t ‖θ_t‖ · exp_μ(Σ w_t (u_t − (u_t·μ) μ)), u_t = θ_t / ‖θ_t‖, μ ∝ Σ w_t u_t",
        summary: """
            Interpolates between any number of models on the sphere, in one step from the mean of their directions. With \
            a base, it interpolates their task vectors, and adds the result to the base.
            """,
        parameters: [.weight, .normalizeWeights, .directionTolerance], terms: .models, base: .origin,
        scope: .combined(by: MultislerpRule.self, whole: DirectionStep.self))
}

extension MergeParameter {
    /// Whether weights are divided by their sum.
    public static let normalizeWeights = MergeParameter(
        "normalize_weights", .truth, default: .value(.truth(true)), level: .job, variesByTensor: true,
        meaning: "whether weights are divided by their sum")

    /// The norm below which directions cancel.
    public static let directionTolerance = MergeParameter(
        "eps", .number(.above(0)), default: .value(.number(1e-8)), level: .job, variesByTensor: true,
        meaning: "norm of the weighted directions below which they cancel")
}

/// Takes one step on the sphere from the mean of directions.
///
/// Source: mergekit's `multislerp`. It also adds eps to norms, which fp64 does not need.
public struct DirectionStep: StreamedComputation, ~Copyable {
    private let problem: MergeProblem
    private let weights: [Double]
    private let tolerance: Double
    private var norms: [Double] = []
    private var position = 0
    private var origin: Matrix<Double>?
    /// μ, in the second pass.
    private var mean: Matrix<Double>?
    /// The sum of the pass: of directions, of tangents, or of the models where two directions cancel.
    private var sum: Matrix<Double>
    private var isLinear = false
    /// Values, twice, or once for one model.
    public private(set) var nextPass: MergePass? = .values

    /// Empty sums.
    ///
    /// - Throws: ``TaskArithmeticError/weightsCancel``, ``TaskArithmeticError/unexpectedOperands(_:)`` for a block with
    ///   factors, or ``TaskArithmeticError/linearAlgebra(_:)`` when memory is short.
    public init(_ problem: MergeProblem) throws(TaskArithmeticError) {
        guard case .matrix(let rows, let columns) = problem.shape else {
            throw .unexpectedOperands("a block with factors")
        }
        let weights = try MultislerpRule.weights(of: problem)
        let tolerance = try MultislerpRule.leastNorm(of: problem, weights)
        let sum = try Matrix<Double>.zeros(rows, columns)
        self.problem = problem
        self.weights = weights
        self.tolerance = tolerance
        self.sum = sum
    }

    /// Adds a model's direction, then its tangent at the mean.
    ///
    /// - Throws: ``TaskArithmeticError/linearAlgebra(_:)`` for another shape.
    public mutating func add(
        _ values: consuming Matrix<Double>, factors: borrowing TaskFactors, of model: MergedModel
    ) throws(TaskArithmeticError) {
        do {
            guard !model.isOrigin else {
                origin = .some(values)
                return
            }
            if let origin = origin.take() {
                try values.add(origin, times: -1)
                self.origin = .some(origin)
            }
            let weight = weights[position]
            guard let mean = mean.take() else {
                let norm = try values.frobeniusNorm()
                norms.append(norm)
                if norm > 0 { try sum.add(values, times: weight / norm) }
                position += 1
                return
            }
            let norm = norms[position]
            if isLinear {
                try sum.add(values, times: weight)
            } else if norm > 0 {
                let product = try values.dot(mean) / norm
                try sum.add(values, times: weight / norm)
                try sum.add(mean, times: -weight * product)
            }
            self.mean = .some(mean)
            position += 1
        } catch { throw .linearAlgebra(error) }
    }

    /// After the first pass, finds the mean direction.
    ///
    /// - Throws: ``TaskArithmeticError/directionsCancel`` where more than two directions have no mean.
    public mutating func endPass() throws(TaskArithmeticError) {
        position = 0
        guard mean == nil, !norms.isEmpty else {
            nextPass = nil
            return
        }
        let norm = try carryingErrors { () throws(LinearAlgebraError) in try sum.frobeniusNorm() }
        let (rows, columns) = (problem.shape.rows, problem.shape.columns)
        var mean = try Matrix<Double>.zeros(rows, columns)
        isLinear = norm < tolerance
        if isLinear {
            // Zeros alone have no direction, and their mean is zero.
            guard norms.count == 2 || norms.allSatisfy({ $0 == 0 }) else { throw .directionsCancel }
        } else {
            do { try mean.add(sum, times: 1 / norm) } catch { throw .linearAlgebra(error) }
        }
        sum.clearPrefix(sum.elementCount)
        self.mean = .some(mean)
    }

    /// Steps along the tangent, and restores the length.
    ///
    /// - Throws: ``TaskArithmeticError/noTasks`` if nothing came.
    public consuming func finish() throws(TaskArithmeticError) -> MergedBlock {
        let origin = origin.take()
        let mean = mean.take()
        let length = zip(weights, norms).reduce(0) { $0 + $1.0 * $1.1 }
        let isLinear = isLinear
        var result = sum
        guard let mean else {
            guard let origin else { throw .noTasks }
            return MergedBlock(values: origin)
        }
        do {
            if !isLinear {
                let angle = try result.frobeniusNorm()
                let (sine, cosine) = Trigonometry.sineAndCosine(angle)
                let stretch = angle > 0 ? sine / angle : 1
                result.withMutableSpan { result in
                    for index in result.indices { result[index] *= stretch * length }
                }
                try result.add(mean, times: cosine * length)
            }
            if let origin { try result.add(origin) }
        } catch { throw .linearAlgebra(error) }
        return MergedBlock(values: result)
    }

    /// The cost: some six operations for an element of each model.
    ///
    /// Memory holds the caller's zeros, the origin, a model, the mean and the sum.
    public static func cost(of shape: MergeProblem.Shape, models: Int) -> MergeCost {
        let elements = Double(shape.rows) * Double(shape.columns)
        return MergeCost(
            multiplyAdds: 6 * Double(models) * elements, numbers: 5 * elements, factorPasses: 0, valuePasses: 2)
    }
}

/// The combination of ``MergeMethod/multislerp``.
public enum MultislerpRule: CombinationRule {
    /// The weights of the models beside an origin, divided where the job says so.
    ///
    /// - Throws: ``TaskArithmeticError/weightsCancel``.
    static func weights(of problem: MergeProblem) throws(TaskArithmeticError) -> [Double] {
        let given = problem.models.filter { !$0.isOrigin }.map(\.weight)
        var divisor = 1.0
        if try problem.arguments.truth(.normalizeWeights) { divisor = given.reduce(0, +) }
        guard divisor != 0 || given.isEmpty else { throw .weightsCancel }
        // One model is itself, whatever its weight.
        return given.count == 1 ? [1] : given.map { $0 / divisor }
    }

    /// The norm below which weighted directions cancel: eps, and at least what the rounding of inner products can make.
    ///
    /// - Throws: ``TaskArithmeticError/parameterMissing(name:expected:)``.
    static func leastNorm(of problem: MergeProblem, _ weights: [Double]) throws(TaskArithmeticError) -> Double {
        max(try problem.arguments.number(.directionTolerance), 1e-7 * weights.reduce(0) { $0 + $1.magnitude })
    }

    /// The factors of all models.
    ///
    /// - Throws: ``TaskArithmeticError/weightsCancel``, or ``TaskArithmeticError/directionsCancel`` where more than two
    ///   directions have no mean.
    public static func combination(
        of products: InnerProducts, _ problem: MergeProblem
    ) throws(TaskArithmeticError) -> CombinationFactors {
        let weights = try weights(of: problem)
        let norms = weights.indices.map(products.norm)
        let directions = zip(weights, norms).map { $1 > 0 ? $0 / $1 : 0 }
        let norm = products.norm(of: directions)
        guard norm >= (try leastNorm(of: problem, weights)) else {
            // Zeros alone have no direction, and their mean is zero.
            guard norms.count == 2 || norms.allSatisfy({ $0 == 0 }) else { throw .directionsCancel }
            return CombinationFactors(factors: weights)
        }
        let mean = directions.map { $0 / norm }
        var tangent = directions
        for model in norms.indices where norms[model] > 0 {
            let product = directions[model] * products.product(model, with: mean)
            for other in mean.indices { tangent[other] -= product * mean[other] }
        }
        let angle = products.norm(of: tangent)
        let (sine, cosine) = Trigonometry.sineAndCosine(angle)
        let stretch = angle > 0 ? sine / angle : 1
        let length = zip(weights, norms).reduce(0) { $0 + $1.0 * $1.1 }
        return CombinationFactors(factors: zip(tangent, mean).map { (stretch * $0 + cosine * $1) * length })
    }
}
