public import LinearAlgebra

extension MergeMethod {
    /// The point on the great circle between two models or their vectors, by their weights.
    public static let nuslerp = MergeMethod(
        name: "nuslerp", paper: Paper("Goddard et al. 2024", arXiv: "2403.13257"),
        formula: "(sin((1−t)φ) θ_1 + sin(tφ) θ_2) / sin φ, t = w_2 / (w_1 + w_2)",
        summary: """
            Interpolates between two models at a steady angle, by their weights. With a base, it interpolates their task \
            vectors, and adds the result to the base.
            """,
        parameters: [.weight, .flatten, .rowWise], terms: .models, base: .origin, modelCount: 2...2,
        scope: .combined(by: NuslerpRule.self, whole: WeightedInterpolation.self) {
            (try? $0.truth(.flatten)) ?? false
        })
}

extension MergeParameter {
    /// Whether a tensor is one vector.
    public static let flatten = MergeParameter(
        "nuslerp_flatten", .truth, default: .value(.truth(true)), level: .job, variesByTensor: true,
        meaning: "whether a tensor is one vector, not each row")

    /// Whether the columns of a matrix are the vectors.
    public static let rowWise = MergeParameter(
        "nuslerp_row_wise", .truth, default: .value(.truth(false)), level: .job, variesByTensor: true,
        meaning: "without nuslerp_flatten, whether each column is a vector, as in mergekit's code")
}

/// Interpolates between two models on the sphere, around the origin or the base.
///
/// Source: mergekit's `nuslerp`, in fp64, and linearly where |sin φ| < 1e-6.
public struct WeightedInterpolation: StreamedComputation, ~Copyable {
    private let problem: MergeProblem
    private var origin: Matrix<Double>?
    private var first: Matrix<Double>?
    private var firstWeight = 0.0
    private var merged: Matrix<Double>?
    /// Values, once.
    public private(set) var nextPass: MergePass? = .values

    /// Nothing to interpolate yet.
    ///
    /// - Throws: ``TaskArithmeticError/unexpectedOperands(_:)`` for more than two models beside an origin.
    public init(_ problem: MergeProblem) throws(TaskArithmeticError) {
        guard case .matrix = problem.shape, problem.models.count(where: { !$0.isOrigin }) <= 2 else {
            throw .unexpectedOperands("\(problem.models.count) models")
        }
        self.problem = problem
    }

    /// Keeps the origin and the first model, and interpolates when the second comes.
    ///
    /// - Throws: ``TaskArithmeticError/linearAlgebra(_:)`` for tensors of different sizes.
    public mutating func add(
        _ values: consuming Matrix<Double>, factors: borrowing TaskFactors, of model: MergedModel
    ) throws(TaskArithmeticError) {
        guard !model.isOrigin else {
            origin = .some(values)
            return
        }
        if let origin = origin.take() {
            do { try values.add(origin, times: -1) } catch { throw .linearAlgebra(error) }
            self.origin = .some(origin)
        }
        guard let first = first.take() else {
            first = .some(values)
            firstWeight = model.weight
            return
        }
        let share = NuslerpRule.share(firstWeight, model.weight)
        let parts = try parts
        first.withSpan { first in
            values.withMutableSpan { values in
                for part in parts { Self.interpolate(first, &values, part, share: share) }
            }
        }
        merged = .some(values)
    }

    /// The positions of each vector: everything, the rows or the columns.
    private var parts: [StrideTo<Int>] {
        get throws(TaskArithmeticError) {
            let (rows, columns) = (problem.shape.rows, problem.shape.columns)
            let isWhole = try problem.arguments.truth(.flatten)
            guard !isWhole, rows > 1 else { return [stride(from: 0, to: rows * columns, by: 1)] }
            guard try problem.arguments.truth(.rowWise) else {
                return (0..<rows).map { stride(from: $0 * columns, to: ($0 + 1) * columns, by: 1) }
            }
            return (0..<columns).map { stride(from: $0, to: rows * columns, by: columns) }
        }
    }

    private static func interpolate(
        _ first: Span<Double>, _ values: inout MutableSpan<Double>, _ part: StrideTo<Int>, share: Double
    ) {
        var (squares, otherSquares, product) = (0.0, 0.0, 0.0)
        for index in part {
            squares += first[index] * first[index]
            otherSquares += values[index] * values[index]
            product += first[index] * values[index]
        }
        let norm = squares.squareRoot() * otherSquares.squareRoot()
        let path = SphericalPath(
            cosine: norm > 0 ? product / norm : 0, share: share, leastSine: NuslerpRule.leastSine)
        for index in part { values[index] = path.point(first[index], values[index]) }
    }

    /// Ends the only pass.
    public mutating func endPass() { nextPass = nil }

    /// Gives the interpolated tensor; of one model the model, and of none the origin.
    ///
    /// - Throws: ``TaskArithmeticError/noTasks`` if nothing came.
    public consuming func finish() throws(TaskArithmeticError) -> MergedBlock {
        let origin = origin.take()
        guard var result = merged.take() ?? first.take() else {
            guard let origin else { throw .noTasks }
            return MergedBlock(values: origin)
        }
        if let origin {
            do { try result.add(origin) } catch { throw .linearAlgebra(error) }
        }
        return MergedBlock(values: result)
    }

    /// The cost: some ten operations for an element.
    ///
    /// Memory holds the caller's zeros, the origin and both models.
    public static func cost(of shape: MergeProblem.Shape, models: Int) -> MergeCost {
        let elements = Double(shape.rows) * Double(shape.columns)
        return MergeCost(multiplyAdds: 10 * elements, numbers: 4 * elements, factorPasses: 0, valuePasses: 1)
    }
}

/// The combination of ``MergeMethod/nuslerp``, where a tensor is one vector.
public enum NuslerpRule: CombinationRule {
    /// Where |sin φ| is smaller the interpolation is linear.
    static let leastSine = 1e-6

    /// The share of the way to the second model.
    static func share(_ first: Double, _ second: Double) -> Double {
        let total = first + second
        return total.magnitude < 1e-6 ? 0.5 : second / total
    }

    /// The factors of both models, or of the only one.
    ///
    /// - Throws: ``TaskArithmeticError/unexpectedOperands(_:)`` for more than two models beside an origin.
    public static func combination(
        of products: InnerProducts, _ problem: MergeProblem
    ) throws(TaskArithmeticError) -> CombinationFactors {
        guard products.count <= 2 else { throw .unexpectedOperands("\(problem.models.count) models") }
        guard products.count == 2 else { return CombinationFactors(factors: [1]) }
        let weights = problem.models.filter { !$0.isOrigin }.map(\.weight)
        let norms = products.norm(0) * products.norm(1)
        return SphericalPath(
            cosine: norms > 0 ? products[0, 1] / norms : 0, share: share(weights[0], weights[1]),
            leastSine: leastSine
        ).combination
    }
}
