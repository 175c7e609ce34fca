import KroneckerFactors
public import LinearAlgebra

extension MergeMethod {
    /// Σ w_t τ_t, each τ_t moved away from what the other tasks read.
    public static let disentangle = MergeMethod(
        name: "disentangle", paper: Paper("after Porrello et al. 2026", arXiv: "2602.17385"),
        formula: "θ₀ + α Σ w_t argmin tr(B_t (τ − Δ_t) A_t (τ − Δ_t)ᵀ) + β tr(B₋ₜ τ A₋ₜ τᵀ)",
        summary: "The penalty of other tasks without training: each vector keeps its own effect, and loses theirs.",
        parameters: [.weight, .lambda, .penaltyStrength],
        scope: .blocks(DisentangleMerge.self, others: UnsharedSum.self))
}

extension MergeParameter {
    /// β.
    public static let penaltyStrength = MergeParameter(
        "beta", .number(.from(0)), default: .value(.number(0.1)), level: .jobAndModel, variesByTensor: true,
        meaning: "strength β of the other models' penalty; 0 leaves the vectors unchanged")
}

/// The merge `disentangle` of one block.
///
/// A₋ₜ = Σ λ_s A_s / (1 − λ_t) and B₋ₜ = Σ B_s over the other merged models, as in equation 8, with the job's damping
/// of A_t + A₋ₜ and of B_t + B₋ₜ added to them. In the coordinates where both tasks' factors are diagonal, with shares
/// b and a of the task, the minimiser is y·ba / (ba + β(1−b)(1−a)). It is computed as a change of Δ_t, so β = 0 and a
/// single model return Δ_t itself.
public struct DisentangleMerge: StreamedComputation, ~Copyable {
    private let problem: MergeProblem
    /// Σ λ_t A_t, or Σ λ_t F_t.
    private var inputTotal: FactorSum
    /// Σ B_t; empty for a parameter.
    private var gradientTotal: FactorSum
    private var sum: Matrix<Double>
    /// The health of the inputs' and the gradients' sums, of the model whose is worst.
    private var healths: [FactorHealth] = []
    /// The factors of all models, then the vectors with each model's own.
    public private(set) var nextPass: MergePass? = .factors

    /// Creates empty sums.
    ///
    /// - Throws: ``TaskArithmeticError/unexpectedOperands(_:)`` for a matrix without factors, or
    ///   ``TaskArithmeticError/linearAlgebra(_:)`` for an impossible shape or short memory.
    public init(_ problem: MergeProblem) throws(TaskArithmeticError) {
        let shapes = problem.shape.factors
        guard let inputs = shapes.first else { throw .unexpectedOperands("a matrix without factors") }
        let inputTotal = try FactorSum(shape: inputs)
        let gradientTotal = try FactorSum(shape: shapes.count > 1 ? shapes[1] : .full(0))
        let sum = try Matrix<Double>.zeros(problem.shape.rows, problem.shape.columns)
        self.problem = problem
        self.inputTotal = inputTotal
        self.gradientTotal = gradientTotal
        self.sum = sum
    }

    /// Adds a model's factors to the totals.
    /// - Throws: ``TaskArithmeticError/unexpectedOperands(_:)`` for a block without factors, or the errors of the sums.
    public mutating func addFactors(
        _ factors: borrowing TaskFactors, of model: MergedModel
    ) throws(TaskArithmeticError) {
        switch factors {
        case .layer(let factors):
            try inputTotal.add(factors.input, times: model.lambda)
            try gradientTotal.add(factors.gradient, times: 1)
        case .parameter(let block): try inputTotal.add(block, times: model.lambda)
        case .none: throw .unexpectedOperands("a block without factors")
        }
    }

    /// Adds w_t τ_t.
    /// - Throws: ``TaskArithmeticError/unexpectedOperands(_:)`` for a block without factors;
    ///   ``TaskArithmeticError/linearAlgebra(_:)`` or ``TaskArithmeticError/kroneckerFactors(_:)`` when memory is
    ///   short or the factors are not positive semi-definite.
    public mutating func add(
        _ values: consuming Matrix<Double>, factors: borrowing TaskFactors, of model: MergedModel
    ) throws(TaskArithmeticError) {
        let strength = try model.arguments.number(.penaltyStrength)
        do { try sum.add(values, times: model.weight) } catch { throw .linearAlgebra(error) }
        guard strength > 0, model.lambda < 1 else { return }
        switch factors {
        case .layer(let factors): try addChange(of: values, factors, model, strength)
        case .parameter(let block): try addChange(of: values, block, model, strength)
        case .none: throw .unexpectedOperands("a block without factors")
        }
    }

    /// Subtracts w_t P_B [y β(1−b)(1−a) / (ba + β(1−b)(1−a))] P_Aᵀ.
    private mutating func addChange(
        of values: consuming Matrix<Double>, _ factors: borrowing LayerFactors, _ model: MergedModel,
        _ strength: Double
    ) throws(TaskArithmeticError) {
        let inputs = try total(of: factors.input, model)
        // Without any curvature on a side, nothing tells the tasks apart.
        guard inputs.trace > 0, gradientTotal.matrix.trace > 0 else { return }
        let right = try SimultaneousDiagonalization(
            of: factors.input, in: inputs, damping: problem.damping.amount(side: Self.scale(of: inputs)))
        let left = try SimultaneousDiagonalization(
            of: factors.gradient, in: gradientTotal.matrix, damping: problem.damping.amount(side: gradientTotal.scale))
        note([right.health, left.health])
        do {
            var change = try left.toCoordinates(values, on: .left)
            change = try right.toCoordinates(change, on: .right)
            let (outputShares, inputShares) = (left.shares, right.shares)
            change.withMutableSpan { span in
                for row in outputShares.indices {
                    for column in inputShares.indices {
                        let own = outputShares[row] * inputShares[column]
                        let others = strength * (1 - outputShares[row]) * (1 - inputShares[column])
                        span[row * inputShares.count + column] *= own + others > 0 ? others / (own + others) : 0
                    }
                }
            }
            change = try left.fromCoordinates(change, on: .left)
            change = try right.fromCoordinates(change, on: .right)
            try sum.add(change, times: -model.weight)
        } catch {
            throw .linearAlgebra(error)
        }
    }

    /// Subtracts w_t β (F₋ₜ+γI) δ_t of (F_t + β(F₋ₜ+γI))⁻¹, for the parameter δ_t.
    private mutating func addChange(
        of values: consuming Matrix<Double>, _ block: borrowing TaskFactor, _ model: MergedModel,
        _ strength: Double
    ) throws(TaskArithmeticError) {
        var others = try total(of: block, model)
        let damping = problem.damping.amount(fullBlock: Self.scale(of: others))
        do {
            try others.add(block, times: -1)
            var operand = try others.operand()
            operand.addToDiagonal(damping)
            var change = try Matrix<Double>(rows: values.rowCount, columns: values.columnCount)
            try change.addSymmetricProduct(operand, on: .right, of: values, scale: -strength * model.weight)
            others.multiply(by: strength)
            try others.add(block, times: 1)
            let system = try DampedFactorization(of: others, damping: strength * damping)
            note([system.health.scaled(by: 1 / strength)])
            try system.solve(&change, on: .right)
            try sum.add(change)
        } catch let error as LinearAlgebraError {
            throw .linearAlgebra(error)
        } catch let error as KroneckerFactorsError {
            throw .kroneckerFactors(error)
        } catch {
            throw .unexpectedOperands("\(error)")
        }
    }

    /// Keeps of each side a health whose damping was raised, and else the one with the larger condition number.
    private mutating func note(_ found: [FactorHealth]) {
        guard !healths.isEmpty else {
            healths = found
            return
        }
        healths = zip(healths, found).map { kept, other in
            guard (kept.remedy == .none) == (other.remedy == .none) else {
                return kept.remedy == .none ? other : kept
            }
            return other.conditionEstimate > kept.conditionEstimate ? other : kept
        }
    }

    /// F_t + F₋ₜ of the inputs' side: F_t + (Σ λ_s F_s − λ_t F_t) / (1 − λ_t).
    private borrowing func total(
        of factor: borrowing TaskFactor, _ model: MergedModel
    ) throws(TaskArithmeticError) -> PackedSymmetricMatrix<Double> {
        let rest = 1 - model.lambda
        return try carryingErrors { () throws(LinearAlgebraError) in
            var total = try PackedSymmetricMatrix<Double>(shape: factor.shape)
            try total.add(inputTotal.matrix, times: 1 / rest)
            try total.add(factor, times: 1 - model.lambda / rest)
            return total
        }
    }

    private static func scale(of matrix: borrowing PackedSymmetricMatrix<Double>) -> FactorScale {
        FactorScale(trace: matrix.trace, dimension: matrix.dimension)
    }

    /// Ends a pass.
    public mutating func endPass() { nextPass = nextPass == .factors ? [.values, .factors] : nil }

    /// Returns the sum, with the health of what was factorized; none if no vector was changed.
    public consuming func finish() -> MergedBlock {
        let healths = healths
        return MergedBlock(values: sum, healths: healths)
    }

    /// The cost: for each model a Cholesky factorization, two triangular solves and the eigenvectors of each side, and
    /// eight products.
    ///
    /// The peak of memory holds both totals, one side's eigenvectors with their workspace beside the other side's
    /// results, a model's factors, θ_0, and four matrices.
    public static func cost(of shape: MergeProblem.Shape, models: Int) -> MergeCost {
        let elements = Double(shape.rows) * Double(shape.columns)
        // Of a diagonal side, a product multiplies each element once.
        let widths = shape.factors.map { $0.isDiagonal ? 1 : Double($0.dimension) }
        let squares = zip(shape.factors, widths).map { Double($0.0.dimension) * $0.1 }
        let cubes = zip(squares, widths).reduce(0) { $0 + $1.0 * $1.1 }
        let largest = zip(squares, widths).reduce(0) { max($0, $1.0 * $1.1) }
        let side = squares.reduce(0) { max($0, $1) }
        let all = squares.reduce(0, +)
        return MergeCost(
            multiplyAdds: 2 * Double(models) * (10.5 * cubes + 3 * elements * widths.reduce(0, +)),
            numbers: 3.25 * all + 3 * side + 6 * elements, factorPasses: 2, valuePasses: 1,
            stageMultiplyAdds: 21 * largest)
    }
}

/// Σ w_t Δ_t without the shares λ_t, for tensors without factors under a method that adds tasks up.
public struct UnsharedSum: ElementwiseComputation, ~Copyable {
    private var sum: WeightedSum

    /// Buffers for ranges of up to `capacity` elements.
    /// - Throws: ``TaskArithmeticError/linearAlgebra(_:)`` when memory is short.
    public init(capacity: Int, precision: MergePrecision, statistics: [[Double]]) throws(TaskArithmeticError) {
        sum = try WeightedSum(capacity: capacity, precision: precision)
    }

    /// Begins a range with the base's elements θ_0.
    /// - Throws: The errors of ``WeightedSum/begin(base:type:)``.
    public mutating func begin(base: RawSpan, type: ElementType) throws(TaskArithmeticError) {
        try sum.begin(base: base, type: type)
    }

    /// Begins a range without a base.
    /// - Throws: The errors of ``WeightedSum/begin(elements:)``.
    public mutating func begin(elements: Int) throws(TaskArithmeticError) { try sum.begin(elements: elements) }

    /// Takes note of the base, whose vector is zero.
    /// - Throws: ``TaskArithmeticError/weightNotFinite(name:value:)``.
    public mutating func addBase(weight: Double) throws(TaskArithmeticError) { try sum.addBase(weight: weight) }

    /// Adds a model's range; its weight λ_t w_t is divided by λ_t.
    /// - Throws: The errors of ``WeightedSum/add(_:type:weight:)``.
    public mutating func add(
        _ checkpoint: RawSpan, type: ElementType, of model: MergedModel
    ) throws(TaskArithmeticError) {
        try sum.add(checkpoint, type: type, weight: model.lambda > 0 ? model.weight / model.lambda : model.weight)
    }

    /// Writes the range.
    /// - Throws: The errors of ``WeightedSum/finish(divides:alpha:arguments:into:type:)``.
    public mutating func finish(
        divides: Bool, alpha: Double, arguments: MergeArguments, into bytes: inout MutableRawSpan, type: ElementType
    ) throws(TaskArithmeticError) {
        try sum.finish(divides: false, alpha: alpha, into: &bytes, type: type)
    }
}
