public import LinearAlgebra

/// How a method estimates the covariance of a layer's inputs from a task vector: as E_tᵀE_t.
public protocol CovarianceEstimate: Sendable {
    /// E_t.
    ///
    /// - Parameters:
    ///   - vector: Δ_t, `[d_out, d_in(+1)]`.
    ///   - model: The task, with its own parameters.
    ///   - arguments: The job's parameters of the method.
    /// - Returns: A matrix of the vector's columns.
    /// - Throws: ``TaskArithmeticError/parameterMissing(name:expected:)``, or ``TaskArithmeticError/linearAlgebra(_:)``
    ///   when memory is short.
    static func rows(
        of vector: borrowing Matrix<Double>, of model: MergedModel, arguments: MergeArguments
    ) throws(TaskArithmeticError) -> Matrix<Double>

    /// Whether captured covariances can take the estimate's place under a job's parameters.
    static func isReplaceable(_ arguments: MergeArguments) -> Bool
}

extension CovarianceEstimate {
    /// Always.
    public static func isReplaceable(_ arguments: MergeArguments) -> Bool { true }
}

/// The merge of blocks by a method that does not need their factors.
public protocol OptionalFactorMerge: StreamedComputation, ~Copyable {
    /// Whether a job with these parameters wants it.
    static func isWanted(by arguments: MergeArguments) -> Bool
}

/// The estimate by the vector itself: E_t = Δ_t.
public enum VectorEstimate: CovarianceEstimate {
    /// A copy of Δ_t.
    /// - Throws: ``TaskArithmeticError/linearAlgebra(_:)`` when memory is short.
    public static func rows(
        of vector: borrowing Matrix<Double>, of model: MergedModel, arguments: MergeArguments
    ) throws(TaskArithmeticError) -> Matrix<Double> {
        do { return try vector.prefix(vector.rowCount) } catch { throw .linearAlgebra(error) }
    }
}

extension MergeParameter {
    /// Whether a method that estimates covariances takes the captured ones where it has them.
    public static let covariance = MergeParameter(
        "covariance", .word([capturedWord, "estimated"]), default: .value(.word(capturedWord)), level: .job,
        variesByTensor: false,
        meaning: "with captures or factors of every model: their covariances, or the method's estimates all the same")

    /// The value of ``covariance`` that takes factors.
    public static let capturedWord = "captured"
}

/// Merges a block by the captured covariances A_t in place of those that a method estimates from the vectors.
///
/// Methods that estimate covariances solve the least squares of `regmean`, so this is ``RegmeanMerge``. Of a layer it
/// also measures how far each estimate is from the truth.
///
/// Source: DESIGN section 2.5.
public struct CapturedCovarianceMerge<Estimate: CovarianceEstimate>: OptionalFactorMerge, ~Copyable {
    private let arguments: MergeArguments
    private var merge: RegmeanMerge
    private var distances: [Double] = []

    /// Creates empty sums.
    /// - Throws: The errors of ``RegmeanMerge/init(_:)``.
    public init(_ problem: MergeProblem) throws(TaskArithmeticError) {
        arguments = problem.arguments
        merge = try RegmeanMerge(problem)
    }

    /// Whether the job does not keep the estimates.
    public static func isWanted(by arguments: MergeArguments) -> Bool {
        arguments[.covariance] == .word(MergeParameter.capturedWord) && Estimate.isReplaceable(arguments)
    }

    /// One pass.
    public var nextPass: MergePass? { merge.nextPass }

    /// Measures a task's estimate, and adds the task.
    /// - Throws: The errors of ``RegmeanMerge/add(_:factors:of:)`` and of the estimate.
    public mutating func add(
        _ values: consuming Matrix<Double>, factors: borrowing TaskFactors, of model: MergedModel
    ) throws(TaskArithmeticError) {
        switch factors {
        case .layer(let factors):
            let estimate = try Estimate.rows(of: values, of: model, arguments: arguments)
            distances.append(try Self.distance(of: estimate, from: factors.input))
        case .parameter: break
        case .none: break
        }
        try merge.add(values, factors: factors, of: model)
    }

    /// Ends the pass.
    public mutating func endPass() { merge.endPass() }

    /// Solves for Δ.
    /// - Throws: The errors of ``RegmeanMerge/finish()``.
    public consuming func finish() throws(TaskArithmeticError) -> MergedBlock {
        let distances = distances
        let merged = try merge.finish()
        let (healths, norms) = (merged.healths, merged.norms)
        return MergedBlock(
            values: merged.intoValues(), healths: healths, norms: norms,
            solution: distances.isEmpty ? nil : MergeSolution(covarianceDistances: distances))
    }

    /// ‖Â/tr Â − A/tr A‖ / ‖A/tr A‖ in Frobenius norms, with Â = EᵀE; NaN where a trace is 0.
    ///
    /// Both have trace 1, since a method's scale says nothing of the inputs' scale.
    private static func distance(
        of estimate: borrowing Matrix<Double>, from factor: borrowing TaskFactor
    ) throws(TaskArithmeticError) -> Double {
        try carryingErrors { () throws(LinearAlgebraError) in
            let trace = try estimate.dot(estimate)
            let truth = factor.trace
            guard trace > 0, truth > 0 else { return .nan }
            var product = try Matrix<Double>(rows: estimate.rowCount, columns: estimate.columnCount)
            try product.addSymmetricProduct(try factor.operand(), on: .right, of: estimate, scale: 1)
            let inner = try product.dot(estimate) / trace / truth
            // EᵀE and EEᵀ have the same norm.
            let isTall = estimate.rowCount > estimate.columnCount
            let side = min(estimate.rowCount, estimate.columnCount)
            var gram = try Matrix<Double>(rows: side, columns: side)
            try gram.addGramMatrix(of: estimate, isTall ? .columns : .rows)
            let own = gram.squaredNormOfLower / trace / trace
            let captured = factor.squaredNorm / truth / truth
            return (max(0, own - 2 * inner + captured) / captured).squareRoot()
        }
    }

    /// The cost of `regmean`, with the estimate, its product with A, and its Gram matrix.
    public static func cost(of shape: MergeProblem.Shape, models: Int) -> MergeCost {
        var cost = RegmeanMerge.cost(of: shape, models: models)
        guard case .layer(_, let inputs) = shape else { return cost }
        let elements = Double(shape.rows) * Double(shape.columns)
        let side = Double(min(shape.rows, shape.columns))
        let width = inputs.isDiagonal ? 1 : Double(inputs.dimension)
        cost.multiplyAdds += 2 * Double(models) * elements * (width + side / 2)
        cost.numbers += 2 * elements + side * side
        return cost
    }
}

extension Matrix where Scalar == Double {
    /// ‖M‖² of a symmetric matrix of which the lower triangle is valid.
    fileprivate var squaredNormOfLower: Double {
        let count = rowCount
        return withSpan { span in
            var sum = 0.0
            for row in 0..<count {
                for column in 0..<row {
                    let value = span[row * count + column]
                    sum += 2 * value * value
                }
                sum += span[row * count + row] * span[row * count + row]
            }
            return sum
        }
    }
}
