public import LinearAlgebra

extension MergeMethod {
    /// Δ = (Σ w_t Δ̄_t Σ̃_t) (Σ Σ̃_t + 1cᵀ)⁻¹ with Σ̃_t = Δ̄_tᵀΔ̄_t + εI.
    public static let ace = MergeMethod(
        name: "ace", paper: Paper("ACE-Merging 2026", arXiv: "2603.02945"),
        formula: "θ₀ + α (Σ w_t Δ̄_t Σ̃_t) (Σ Σ̃_t + 1cᵀ)⁻¹, Σ̃_t = Δ̄_tᵀΔ̄_t + εI",
        summary: "regmean without data, by centred covariances; where the tasks' sizes differ much, they are scaled "
            + "and the leading directions evened out.",
        parameters: [.weight, .lambda, .covariancePrior, .centered, .evenedFraction, .covariance, .asMatrix, .vectors],
        scope: .matrices(
            AceMerge.self, others: VectorRule.self, captured: CapturedCovarianceMerge<CentredEstimate>.self),
        dependsOnLayout: { _ in true })
}

extension MergeParameter {
    /// ε, absolute as published.
    public static let covariancePrior = MergeParameter(
        "covariance_prior", .number(.above(0)), default: .value(.number(0.01)), level: .job, variesByTensor: true,
        meaning: "what is added to the diagonal of each estimated covariance, absolute as published")

    /// Whether Δ̄_t is Δ_t without the mean of its rows.
    public static let centered = MergeParameter(
        "centered", .truth, default: .value(.truth(true)), level: .job, variesByTensor: true,
        meaning: "whether each vector's rows are merged without their mean, as published")

    /// The share of the singular directions that get their mean size.
    public static let evenedFraction = MergeParameter(
        "evened_fraction", .number(.above(0, to: 1)), default: .value(.number(0.3)), level: .job,
        variesByTensor: true,
        meaning: "share of the singular directions that are evened out where the tasks' sizes differ much")
}

/// The merge `ace` of one matrix, as its authors' code computes it.
///
/// With γ = var(log tr Δ_tᵀΔ_t) / mean(log tr Δ_tᵀΔ_t)², sizes differ much where γ > 0.3. Then each covariance and its
/// ε are divided by the trace, and the mean of the leading singular values is added along their directions. The rows of
/// the prior of Σ Σ̃_t are all c, the mean row of Σ Δ̄_tᵀΔ̄_t, so the system is not symmetric. The formula of Sherman and
/// Morrison solves it. A vector of zeros has no term.
///
/// Source: the authors' code of arXiv 2603.02945.
public struct AceMerge: StreamedComputation, ~Copyable {
    /// γ above which the tasks' sizes differ much.
    private static let spreadMax = 0.3
    /// The authors' guard against a trace of 0.
    private static let least = 1e-12

    private let problem: MergeProblem
    private let prior: Double
    private let isCentered: Bool
    /// tr Δ_tᵀΔ_t of the vectors that are not zero, from the first pass.
    private var traces: [Double] = []
    private var differs: Bool?
    /// Σ Δ̄_tᵀΔ̄_t, of which the lower triangle is valid.
    private var covariance: Matrix<Double>
    /// Σ ε_t.
    private var priors = 0.0
    /// Σ w_t Δ̄_t Σ̃_t.
    private var numerator: Matrix<Double>
    /// Σ w_t Δ_t Δ̄_tᵀΔ̄_t, and Σ w_t Δ_t.
    private var uncentred: Matrix<Double>
    private var sum: Matrix<Double>
    /// Two passes over the values: for their sizes, and for the sums.
    public private(set) var nextPass: MergePass? = .values

    /// Creates empty sums.
    ///
    /// - Throws: ``TaskArithmeticError/unexpectedOperands(_:)`` for a block with factors, or
    ///   ``TaskArithmeticError/linearAlgebra(_:)`` for an impossible shape or short memory.
    public init(_ problem: MergeProblem) throws(TaskArithmeticError) {
        guard case .matrix(let rows, let columns) = problem.shape else {
            throw .unexpectedOperands("a block with factors")
        }
        let prior = try problem.arguments.number(.covariancePrior)
        let isCentered = try problem.arguments.truth(.centered)
        let covariance = try Matrix<Double>.zeros(columns, columns)
        let numerator = try Matrix<Double>.zeros(rows, columns)
        let uncentred = try Matrix<Double>.zeros(rows, columns)
        let sum = try Matrix<Double>.zeros(rows, columns)
        self.problem = problem
        self.prior = prior
        self.isCentered = isCentered
        self.covariance = covariance
        self.numerator = numerator
        self.uncentred = uncentred
        self.sum = sum
    }

    /// Measures a task in the first pass, and adds it in the second.
    /// - Throws: ``TaskArithmeticError/linearAlgebra(_:)`` for another shape or short memory.
    public mutating func add(
        _ values: consuming Matrix<Double>, factors: borrowing TaskFactors, of model: MergedModel
    ) throws(TaskArithmeticError) {
        do throws(LinearAlgebraError) {
            let trace = try values.dot(values)
            guard trace > 0 else { return }
            guard let differs else {
                traces.append(trace)
                return
            }
            try sum.add(values, times: model.weight)
            var centred = try values.prefix(values.rowCount)
            if isCentered { centred.subtractMeanRow() }
            let divisor = differs ? try centred.dot(centred) + Self.least : 1
            var own = try Matrix<Double>(rows: covariance.rowCount, columns: covariance.columnCount)
            try own.addGramMatrix(of: centred, .columns, scale: 1 / divisor)
            try covariance.add(own)
            if differs { try uncentred.addSymmetricProduct(own, on: .right, of: values, scale: model.weight) }
            let ownPrior = prior / divisor
            priors += ownPrior
            own.addToDiagonal(ownPrior)
            try numerator.addSymmetricProduct(own, on: .right, of: centred, scale: model.weight)
        } catch {
            throw .linearAlgebra(error)
        }
    }

    /// After the first pass, compares the sizes.
    public mutating func endPass() {
        guard differs == nil else {
            nextPass = nil
            return
        }
        let logarithms = traces.map { Logarithm.natural($0 + Self.least) }
        let count = Double(logarithms.count)
        let mean = logarithms.reduce(0, +) / max(1, count)
        let variance = logarithms.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / max(1, count - 1)
        differs = count > 1 && variance / (mean * mean + Self.least) > Self.spreadMax
    }

    /// Solves for Δ.
    /// - Throws: ``TaskArithmeticError/linearAlgebra(_:)`` when memory is short or a decomposition fails.
    public consuming func finish() throws(TaskArithmeticError) -> MergedBlock {
        let (differs, count) = (differs ?? false, Double(traces.count))
        let meanTrace = traces.reduce(0, +) / count
        let fraction = try problem.arguments.number(.evenedFraction)
        let evened = max(1, Int(fraction * Double(min(problem.shape.rows, problem.shape.columns))))
        let priors = priors
        let sum = sum
        var covariance = covariance
        var solution = numerator
        var fused = uncentred
        guard count > 0 else { return MergedBlock(values: solution) }
        do throws(LinearAlgebraError) {
            let prior = try covariance.meanOfSymmetricRows(dividedBy: differs ? meanTrace + Self.least : 1)
            covariance.addToDiagonal(priors)
            if differs { try fused.addSymmetricProduct(covariance, on: .right, of: sum, scale: -1 / count) }
            try Self.solve(&solution, covariance, prior)
            if differs { try fused.add(solution) }
        } catch {
            throw .linearAlgebra(error)
        }
        guard differs else { return MergedBlock(values: solution) }
        var triplets = try SingularTriplets(rows: fused.rowCount, columns: fused.columnCount, capacity: evened)
        let values = try triplets.add(leadingOf: fused, count: evened)
        triplets.setValues(values.prefix(evened).reduce(0, +) / Double(evened))
        let evenedOut = try triplets.product().intoValues()
        do { try solution.add(evenedOut) } catch { throw .linearAlgebra(error) }
        return MergedBlock(values: solution)
    }

    /// `right = right · (S + 1cᵀ)⁻¹`: with Y = right S⁻¹ and v = S⁻¹c this is Y − (Y1) vᵀ / (1 + vᵀ1).
    private static func solve(
        _ right: inout Matrix<Double>, _ symmetric: consuming Matrix<Double>, _ prior: consuming Matrix<Double>
    ) throws(LinearAlgebraError) {
        let factor = try CholeskyFactor(factorizing: symmetric)
        try factor.solve(&right, on: .right)
        var row = prior
        try factor.solve(&row, on: .right)
        let share = 1 / (1 + row.elements.reduce(0, +))
        let (rows, columns) = (right.rowCount, right.columnCount)
        row.withSpan { row in
            right.withMutableSpan { right in
                for first in stride(from: 0, to: rows * columns, by: columns) {
                    var total = 0.0
                    for column in 0..<columns { total += right[first + column] }
                    for column in 0..<columns { right[first + column] -= total * share * row[column] }
                }
            }
        }
    }

    /// The cost: a Gram matrix and two or three products for each task, a factorization, and the singular values.
    public static func cost(of shape: MergeProblem.Shape, models: Int) -> MergeCost {
        let (rows, columns) = (Double(shape.rows), Double(shape.columns))
        let square = columns * columns
        let decomposition = SingularTriplets.decompositionCost(rows: shape.rows, columns: shape.columns)
        let solution = columns * square / 3 + 2 * rows * square + decomposition.multiplyAdds
        return MergeCost(
            multiplyAdds: 2.5 * Double(models) * rows * square + solution,
            numbers: 2 * square + 7 * rows * columns + decomposition.numbers, factorPasses: 0, valuePasses: 2,
            stageMultiplyAdds: solution)
    }
}

extension Matrix where Scalar == Double {
    /// Subtracts the mean of the rows from each row.
    fileprivate mutating func subtractMeanRow() {
        let (rows, columns) = (rowCount, columnCount)
        var means = [Double](repeating: 0, count: columns)
        withMutableSpan { elements in
            for row in 0..<rows {
                for column in 0..<columns { means[column] += elements[row * columns + column] }
            }
            for row in 0..<rows {
                for column in 0..<columns { elements[row * columns + column] -= means[column] / Double(rows) }
            }
        }
    }

    /// The mean of the rows of a symmetric matrix whose lower triangle is valid, divided by a number.
    fileprivate borrowing func meanOfSymmetricRows(
        dividedBy divisor: Double
    ) throws(LinearAlgebraError) -> Matrix<Double> {
        let order = rowCount
        var sums = [Double](repeating: 0, count: order)
        withSpan { elements in
            for row in 0..<order {
                for column in 0...row {
                    sums[column] += elements[row * order + column]
                    if column < row { sums[row] += elements[row * order + column] }
                }
            }
        }
        return try Matrix(rows: 1, columns: order, elements: sums.map { $0 / Double(order) / divisor })
    }
}

/// The estimate of `ace`: the vector without the mean of its rows, unless the job keeps it.
public enum CentredEstimate: CovarianceEstimate {
    /// Subtracts the mean row.
    /// - Throws: ``TaskArithmeticError/parameterMissing(name:expected:)``, or ``TaskArithmeticError/linearAlgebra(_:)``
    ///   when memory is short.
    public static func rows(
        of vector: borrowing Matrix<Double>, of model: MergedModel, arguments: MergeArguments
    ) throws(TaskArithmeticError) -> Matrix<Double> {
        var centred = try VectorEstimate.rows(of: vector, of: model, arguments: arguments)
        if try arguments.truth(.centered) { centred.subtractMeanRow() }
        return centred
    }
}
