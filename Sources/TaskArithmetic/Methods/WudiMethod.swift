public import LinearAlgebra

extension MergeMethod {
    /// The minimiser of Σ ‖(Δ − w_t Δ_t)Δ_tᵀ‖² / ‖Δ_t‖².
    public static let wudi = MergeMethod(
        name: "wudi", paper: Paper("Cheng et al. 2025", arXiv: "2503.08099"),
        formula: "θ₀ + α argmin Σ ‖(Δ − w_t Δ_t) Δ_tᵀ‖² / ‖Δ_t‖²",
        summary: "Disturbs no task in the directions of its own vector. The published method stops Adam early.",
        parameters: [
            .weight, .lambda, .wudiSolver, .relativeTolerance, .ridge(default: 1e-8), .adamSteps, .adamRate,
            .covariance, .asMatrix, .vectors,
        ],
        scope: .matrices(
            WudiMerge.self, others: VectorRule.self, captured: CapturedCovarianceMerge<WudiEstimate>.self),
        fault: fault(of:), dependsOnLayout: { _ in true })

    /// Adam minimises the loss of the estimates.
    private static func fault(of requests: [MergeRequest]) -> String? {
        let captured = MergeArgument(name: MergeParameter.covariance.name, value: .word(MergeParameter.capturedWord))
        let isFault = requests.contains {
            $0.arguments[.wudiSolver] == .word("adam") && $0.arguments.given.contains(captured)
        }
        guard isFault else { return nil }
        return "takes the steps of Adam on the loss of its own estimates, not on captured covariances. Remove "
            + "\"solver\" or \"covariance\"."
    }
}

extension MergeParameter {
    /// Whether the loss is minimised, or only descended by Adam.
    public static let wudiSolver = MergeParameter(
        "solver", .word(["closed_form", "adam"]), default: .value(.word("closed_form")), level: .job,
        variesByTensor: false, meaning: "the minimum itself, or some steps of Adam from the sum")

    /// The number of steps of Adam.
    public static let adamSteps = MergeParameter(
        "steps", .count(1...100_000), default: .value(.count(300)), level: .job, variesByTensor: false,
        meaning: "steps of Adam")

    /// The largest change of an element in a step.
    public static let adamRate = MergeParameter(
        "lr", .number(.above(0)), default: .value(.number(1e-5)), level: .job, variesByTensor: false,
        meaning: "learning rate of Adam, the most that a step changes an element")
}

/// The merge `wudi` of one matrix.
///
/// A task whose vector is zero takes no part: its term is 0/0. Adam has no scale: a step moves each element by at most
/// the learning rate, so its result depends on the vectors' size.
public struct WudiMerge: EstimatedCovarianceMerge, ~Copyable {
    /// The system and the passes.
    public var state: EstimatedCovarianceState
    private let isDescent: Bool
    private let steps: Int
    /// Σ w_t Δ_t, and then the current point.
    private var point: Matrix<Double>
    private var adam: AdamMoments

    /// Creates empty sums.
    /// - Throws: The errors of ``EstimatedCovarianceState/init(_:)``, or
    ///   ``TaskArithmeticError/parameterMissing(name:expected:)``.
    public init(_ problem: MergeProblem) throws(TaskArithmeticError) {
        let isDescent = try problem.arguments.word(.wudiSolver) == "adam"
        let steps = try problem.arguments.count(.adamSteps)
        let state = try EstimatedCovarianceState(problem)
        // The closed form needs neither point nor moments.
        let (rows, columns) = isDescent ? (problem.shape.rows, problem.shape.columns) : (0, 0)
        let point = try Matrix<Double>.zeros(rows, columns)
        let adam = AdamMoments(count: rows * columns, rate: try problem.arguments.number(.adamRate))
        self.isDescent = isDescent
        self.steps = steps
        self.state = state
        self.point = point
        self.adam = adam
    }

    /// A pass over the values, then a step of Adam in each further pass.
    public var nextPass: MergePass? {
        guard state.isSummed else { return .values }
        return isDescent && adam.steps < steps ? [] : nil
    }

    /// Adds a task, with c_t = 1/‖Δ_t‖².
    /// - Throws: The errors of ``CovarianceSystem/add(_:estimate:weight:scale:)``.
    public mutating func add(
        _ values: consuming Matrix<Double>, factors: borrowing TaskFactors, of model: MergedModel
    ) throws(TaskArithmeticError) {
        let norm: Double
        do { norm = try values.frobeniusNorm() } catch { throw .linearAlgebra(error) }
        guard norm > 0 else { return }
        // Dividing the vector first keeps the squares of small vectors above the smallest number.
        if isDescent {
            do { try point.add(values, times: model.weight) } catch { throw .linearAlgebra(error) }
        }
        values.multiply(by: 1 / norm)
        try state.system.add(values, estimate: values, weight: model.weight * norm, scale: 1)
    }

    /// Ends the pass over the values, or takes a step of Adam.
    /// - Throws: The errors of ``CovarianceSystem/descent(at:)``.
    public mutating func endPass() throws(TaskArithmeticError) {
        guard state.isSummed else {
            state.isSummed = true
            return
        }
        let descent = try state.system.descent(at: point)
        adam.step(&point, along: descent)
    }

    /// Returns the last point of Adam, or solves for Δ.
    /// - Throws: The errors of ``CovarianceSystem/solve(tolerance:ridge:)``.
    public consuming func finish() throws(TaskArithmeticError) -> MergedBlock {
        guard isDescent else { return try state.solve(ridge: .ridge(default: 1e-8)) }
        let taken = adam.steps
        return MergedBlock(values: point, solution: MergeSolution(iterations: taken))
    }

    /// The cost of the system; Adam's three matrices and its steps are counted, as the solver is not known here.
    public static func cost(of shape: MergeProblem.Shape, models: Int) -> MergeCost {
        var cost = CovarianceSystem.cost(of: shape, models: models)
        cost.numbers += 3 * Double(shape.rows) * Double(shape.columns)
        return cost
    }
}

/// Adam of Kingma & Ba 2015 (arXiv 1412.6980) with its published constants, in fp64.
struct AdamMoments: Sendable {
    private let rate: Double
    private var first: [Double]
    private var second: [Double]
    private var firstBias = 1.0
    private var secondBias = 1.0
    private(set) var steps = 0

    init(count: Int, rate: Double) {
        self.rate = rate
        first = [Double](repeating: 0, count: count)
        second = [Double](repeating: 0, count: count)
    }

    /// Takes a step along a descent direction, the negative gradient.
    mutating func step(_ point: inout Matrix<Double>, along descent: borrowing Matrix<Double>) {
        steps += 1
        firstBias *= 0.9
        secondBias *= 0.999
        let rate = rate / (1 - firstBias)
        let scale = (1 - secondBias).squareRoot()
        point.withMutableSpan { point in
            descent.withSpan { descent in
                for index in descent.indices {
                    first[index] = 0.9 * first[index] + 0.1 * descent[index]
                    second[index] = 0.999 * second[index] + 0.001 * descent[index] * descent[index]
                    point[index] += rate * first[index] / (second[index].squareRoot() / scale + 1e-8)
                }
            }
        }
    }
}

/// The estimate of `wudi`: the vector itself, where the minimum is solved for.
public enum WudiEstimate: CovarianceEstimate {
    /// A copy of Δ_t.
    /// - Throws: ``TaskArithmeticError/linearAlgebra(_:)`` when memory is short.
    public static func rows(
        of vector: borrowing Matrix<Double>, of model: MergedModel, arguments: MergeArguments
    ) throws(TaskArithmeticError) -> Matrix<Double> {
        try VectorEstimate.rows(of: vector, of: model, arguments: arguments)
    }

    /// Adam's steps are those of the estimates.
    public static func isReplaceable(_ arguments: MergeArguments) -> Bool {
        arguments[.wudiSolver] == .word("closed_form")
    }
}
