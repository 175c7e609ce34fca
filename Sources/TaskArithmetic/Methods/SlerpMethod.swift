public import LinearAlgebra

extension MergeMethod {
    /// The point on the great circle between a base and a model.
    public static let slerp = MergeMethod(
        name: "slerp", paper: Paper("Goddard et al. 2024", arXiv: "2403.13257"),
        formula: "(sin((1−t)φ) θ₀ + sin(tφ) θ_1) / sin φ, φ = ∠(θ₀, θ_1)",
        summary: """
            Goes the share t of the way from the base to one model, at a steady angle. It interpolates the tensors \
            themselves, not a task vector, and linearly where |cos φ| > 0.9995.
            """,
        parameters: [.interpolation], terms: .models, base: .always, modelCount: 2...2,
        scope: .combined(by: SlerpRule.self, whole: SphericalInterpolation.self))
}

extension MergeParameter {
    /// t, the share of the way from the base to the model.
    public static let interpolation = MergeParameter(
        "t", .number(.any), default: .required, level: .job, variesByTensor: true,
        meaning: "share of the way from the base, at 0, to the model, at 1")
}

/// Interpolates between the base and one model on the sphere.
///
/// Source: mergekit's `slerp`, with its bound for linear interpolation.
public struct SphericalInterpolation: StreamedComputation, ~Copyable {
    /// Where |cos φ| is above 0.9995 the interpolation is linear.
    fileprivate static let leastSine = (1 - 0.9995 * 0.9995).squareRoot()

    private let share: Double
    private var base: Matrix<Double>?
    private var merged: Matrix<Double>?
    /// Values, once.
    public private(set) var nextPass: MergePass? = .values

    /// Nothing to interpolate yet.
    ///
    /// - Throws: ``TaskArithmeticError`` for anything but the base and one model, or without t.
    public init(_ problem: MergeProblem) throws(TaskArithmeticError) {
        guard case .matrix = problem.shape, problem.models.count == 2, problem.models[0].place == 0 else {
            throw .unexpectedOperands("\(problem.models.count) models")
        }
        share = try problem.arguments.number(.interpolation)
    }

    /// Keeps the base, which comes first, and interpolates when the model comes.
    ///
    /// - Throws: ``TaskArithmeticError/linearAlgebra(_:)`` for tensors of different sizes.
    public mutating func add(
        _ values: consuming Matrix<Double>, factors: borrowing TaskFactors, of model: MergedModel
    ) throws(TaskArithmeticError) {
        guard let base = base.take() else {
            base = .some(values)
            return
        }
        let cosine: Double
        do {
            let norms = try base.frobeniusNorm() * (try values.frobeniusNorm())
            cosine = norms > 0 ? try base.dot(values) / norms : 0
        } catch {
            throw .linearAlgebra(error)
        }
        let path = SphericalPath(cosine: cosine, share: share, leastSine: Self.leastSine)
        base.withSpan { base in
            values.withMutableSpan { values in
                for index in values.indices { values[index] = path.point(base[index], values[index]) }
            }
        }
        merged = .some(values)
    }

    /// Ends the only pass.
    public mutating func endPass() { nextPass = nil }

    /// Gives the interpolated tensor.
    ///
    /// - Throws: ``TaskArithmeticError/noTasks`` if no model came.
    public consuming func finish() throws(TaskArithmeticError) -> MergedBlock {
        guard let merged = merged.take() else { throw .noTasks }
        return MergedBlock(values: merged)
    }

    /// The cost: three products and a sum for each element, with the caller's zeros, the base and the model in memory.
    public static func cost(of shape: MergeProblem.Shape, models: Int) -> MergeCost {
        let elements = Double(shape.rows) * Double(shape.columns)
        return MergeCost(multiplyAdds: 10 * elements, numbers: 3 * elements, factorPasses: 0, valuePasses: 1)
    }
}

/// The combination of ``MergeMethod/slerp``.
public enum SlerpRule: CombinationRule {
    /// The factors of the base and the model.
    ///
    /// - Throws: ``TaskArithmeticError`` for anything but the base and one model, or without t.
    public static func combination(
        of products: InnerProducts, _ problem: MergeProblem
    ) throws(TaskArithmeticError) -> CombinationFactors {
        guard products.count == 2, problem.models[0].place == 0 else {
            throw .unexpectedOperands("\(problem.models.count) models")
        }
        let norms = products.norm(0) * products.norm(1)
        return SphericalPath(
            cosine: norms > 0 ? products[0, 1] / norms : 0,
            share: try problem.arguments.number(.interpolation), leastSine: SphericalInterpolation.leastSine
        ).combination
    }
}
