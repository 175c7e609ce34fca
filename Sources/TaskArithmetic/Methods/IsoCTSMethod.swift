public import LinearAlgebra

extension MergeMethod {
    /// Δ = s̄ polar(Û) polar(V̂)ᵀ of a common and of task-specific subspaces.
    public static let isoCTS = MergeMethod(
        name: "iso_cts", paper: Paper("Marczak et al. 2025", arXiv: "2502.04959"),
        formula: "θ₀ + α s̄ polar(Û) polar(V̂)ᵀ",
        summary: "iso_c, with the smallest common directions replaced by leading ones of each task.",
        parameters: [.weight, .lambda, .commonSpaceFraction, .rankTolerance, .asMatrix, .vectors],
        scope: .matrices(IsoCTSMerge.self, others: VectorRule.self), dependsOnLayout: { _ in true })
}

extension MergeParameter {
    /// The share of the directions that come from the summed vectors.
    public static let commonSpaceFraction = MergeParameter(
        "common_space_fraction", .number(.from(0, to: 1)), default: .value(.number(0.8)), level: .job,
        variesByTensor: true, meaning: "share of the directions that are common to the models")
}

/// The merge `iso_cts` of one matrix.
///
/// Of r = min(rows, columns) directions, c are the leading ones of Σ w_t Δ_t, and each task adds the k leading ones of
/// what is left of its vector outside the left common vectors. All get the mean s̄ of the r collected values. The
/// projection is on the side of the outputs, so the layout of a weight matters. Values of at most the tolerance, as a
/// share of the largest of the sum, are no directions.
public struct IsoCTSMerge: StreamedComputation, ~Copyable {
    private let counts: SubspaceCounts
    private let tolerance: Double
    /// The largest singular value of the sum.
    private var largest = 0.0
    private var sum: Matrix<Double>?
    private var triplets: SingularTriplets
    /// The left vectors of the common directions, as rows.
    private var common: Matrix<Double>?
    /// The sum of the collected singular values.
    private var total = 0.0
    /// A pass for the sum, then one for the tasks' own directions, if there are any.
    public private(set) var nextPass: MergePass? = .values

    /// An empty sum.
    ///
    /// - Throws: ``TaskArithmeticError/unexpectedOperands(_:)`` for a block with factors,
    ///   ``TaskArithmeticError/parameterMissing(name:expected:)``, or ``TaskArithmeticError/linearAlgebra(_:)`` for an
    ///   impossible shape or short memory.
    public init(_ problem: MergeProblem) throws(TaskArithmeticError) {
        guard case .matrix(let rows, let columns) = problem.shape else {
            throw .unexpectedOperands("a block with factors")
        }
        let counts = SubspaceCounts(
            directions: min(rows, columns), models: problem.models.count,
            commonShare: try problem.arguments.number(.commonSpaceFraction))
        let tolerance = try problem.arguments.number(.rankTolerance)
        sum = try .zeros(rows, columns)
        triplets = try SingularTriplets(rows: rows, columns: columns, capacity: counts.directions)
        self.counts = counts
        self.tolerance = tolerance
    }

    /// Adds w_t Δ_t to the sum, or its own directions to the others.
    /// - Throws: ``TaskArithmeticError/linearAlgebra(_:)`` for another shape, short memory, or a failed decomposition.
    public mutating func add(
        _ values: consuming Matrix<Double>, factors: borrowing TaskFactors, of model: MergedModel
    ) throws(TaskArithmeticError) {
        values.multiply(by: model.weight)
        guard let common = common.take() else {
            do { try sum?.add(values) } catch { throw .linearAlgebra(error) }
            return
        }
        do {
            var product = try Matrix<Double>(rows: common.rowCount, columns: values.columnCount)
            try product.addProduct(common, .none, values)
            try values.addProduct(common, .transposed, product, .none, scale: -1)
        } catch {
            throw .linearAlgebra(error)
        }
        // What is left of a vector may be rounding as a whole, so its own largest value is no measure.
        total += try triplets.add(
            leadingOf: values, count: counts.ofTask, tolerance: tolerance, reference: largest
        ).prefix(counts.ofTask).reduce(0, +)
        self.common = .some(common)
    }

    /// Decomposes the sum, after the first pass.
    /// - Throws: ``TaskArithmeticError/linearAlgebra(_:)`` when memory is short or the decomposition fails.
    public mutating func endPass() throws(TaskArithmeticError) {
        guard let sum = sum.take() else {
            nextPass = nil
            return
        }
        let values = try triplets.add(leadingOf: sum, count: counts.common, tolerance: tolerance)
        largest = values.first ?? 0
        total = values.prefix(counts.common).reduce(0, +)
        do { common = try triplets.left.prefix(triplets.values.count) } catch { throw .linearAlgebra(error) }
        nextPass = counts.ofTask > 0 ? .values : nil
    }

    /// Makes the vectors orthogonal.
    /// - Throws: ``TaskArithmeticError/linearAlgebra(_:)`` when memory is short or a decomposition fails.
    public consuming func finish() throws(TaskArithmeticError) -> MergedBlock {
        var triplets = triplets
        let raised = triplets.values
        triplets.setValues(total / Double(max(1, counts.directions)))
        return try triplets.merged(raised: raised)
    }

    /// The cost: a decomposition of the sum, one for each model, and two of their vectors.
    public static func cost(of shape: MergeProblem.Shape, models: Int) -> MergeCost {
        let least = min(shape.rows, shape.columns)
        var cost = SingularTriplets.cost(of: shape, decompositions: models + 1, capacity: least, valuePasses: 2)
        cost.multiplyAdds += 4 * Double(models) * Double(shape.rows) * Double(shape.columns) * Double(least)
        cost.numbers += Double(least) * Double(shape.rows + shape.columns)
        return cost
    }
}

/// The numbers of common directions and of each task's own.
struct SubspaceCounts: Equatable, Sendable {
    /// r.
    let directions: Int
    /// c.
    let common: Int
    /// k.
    let ofTask: Int

    /// Source: the authors' code: the directions that are not common are divided among the models, rounded to the
    /// nearest multiple, half to even, and at most all directions.
    init(directions: Int, models: Int, commonShare: Double) {
        self.directions = directions
        let models = max(1, models)
        let wanted = Int(Double(directions) * commonShare)
        let share = (Double(directions - wanted) / Double(models)).rounded(.toNearestOrEven)
        ofTask = min(Int(share), directions / models)
        common = directions - ofTask * models
    }
}
