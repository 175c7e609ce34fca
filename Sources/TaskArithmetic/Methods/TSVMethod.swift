public import LinearAlgebra

extension MergeMethod {
    /// Δ = polar(Û) Ŝ polar(V̂)ᵀ of the leading singular triplets of every task.
    public static let tsv = MergeMethod(
        name: "tsv_m", aliases: ["tsv"], paper: Paper("Gargiulo et al. 2025", arXiv: "2412.00081"),
        formula: "θ₀ + α polar(Û) Ŝ polar(V̂)ᵀ",
        summary: "Keeps the leading singular vectors of each task's matrix, and makes those of all tasks orthogonal.",
        parameters: [.weight, .lambda, .rankFraction, .asMatrix, .vectors],
        scope: .matrices(TSVMerge.self, others: VectorRule.self), fault: { $0.rankFault })
}

extension [MergeRequest] {
    /// More triplets of all models together than a matrix has: they cannot all be orthogonal.
    fileprivate var rankFault: String? {
        for request in self {
            guard let share = request.arguments.optionalNumber(.rankFraction) else { continue }
            let total = share * Double(request.models.count)
            // One part in a million allows for 1 / models that was written with few digits.
            guard total > 1 + 1e-6 else { continue }
            return "keeps \(MergeValue.number(share)) of the singular directions of each of \(request.models.count) "
                + "models in tensor \"\(request.tensor)\", more than the tensor has; expected a \"rank_fraction\" of at "
                + "most 1 / models. Leave it out for that."
        }
        return nil
    }
}

extension MergeParameter {
    /// The share of the singular triplets that is kept of each task.
    public static let rankFraction = MergeParameter(
        "rank_fraction", .number(.above(0, to: 1)), default: .derived("1 / models"), level: .job, variesByTensor: true,
        meaning: "share of the singular triplets that is kept of each model")
}

/// The merge `tsv_m` of one matrix.
///
/// The number of triplets of each task is rounded down. So it is 0, and the base stays, with more models than
/// rows on the smaller side of the matrix.
public struct TSVMerge: StreamedComputation, ~Copyable {
    private let kept: Int
    private var triplets: SingularTriplets
    /// One pass over the values.
    public private(set) var nextPass: MergePass? = .values

    /// Makes room for the triplets.
    ///
    /// - Throws: ``TaskArithmeticError/unexpectedOperands(_:)`` for a block with factors, or
    ///   ``TaskArithmeticError/linearAlgebra(_:)`` for an impossible shape or short memory.
    public init(_ problem: MergeProblem) throws(TaskArithmeticError) {
        guard case .matrix(let rows, let columns) = problem.shape else {
            throw .unexpectedOperands("a block with factors")
        }
        let (least, models) = (min(rows, columns), problem.models.count)
        let kept =
            problem.arguments.optionalNumber(.rankFraction).map { Int($0 * Double(least)) } ?? least / max(1, models)
        triplets = try SingularTriplets(rows: rows, columns: columns, capacity: kept * models)
        self.kept = kept
    }

    /// Adds the leading triplets of w_t Δ_t.
    /// - Throws: ``TaskArithmeticError/linearAlgebra(_:)`` when memory is short or the decomposition fails.
    public mutating func add(
        _ values: consuming Matrix<Double>, factors: borrowing TaskFactors, of model: MergedModel
    ) throws(TaskArithmeticError) {
        values.multiply(by: model.weight)
        try triplets.add(leadingOf: values, count: kept)
    }

    /// Ends the pass.
    public mutating func endPass() { nextPass = nil }

    /// Makes the vectors orthogonal.
    /// - Throws: ``TaskArithmeticError/linearAlgebra(_:)`` when memory is short or a decomposition fails.
    public consuming func finish() throws(TaskArithmeticError) -> MergedBlock { try triplets.merged() }

    /// The cost: a decomposition for each model and two of their vectors.
    ///
    /// It is that of the default share, under which all models together keep as many triplets as one matrix has.
    public static func cost(of shape: MergeProblem.Shape, models: Int) -> MergeCost {
        SingularTriplets.cost(
            of: shape, decompositions: models, capacity: min(shape.rows, shape.columns), valuePasses: 1)
    }
}
