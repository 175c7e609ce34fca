public import LinearAlgebra

extension MergeMethod {
    /// The mean of task vectors, shrunk by the angle between them.
    public static let modelStock = MergeMethod(
        name: "model_stock", paper: Paper("Jang et al. 2024", arXiv: "2403.19522"),
        formula: "θ₀ + t Σ Δ_t / T, t = T c / (1 + (T−1) c), c = mean of cos ∠(Δ_s, Δ_t)",
        summary: """
            Takes the mean of task vectors, less of it the wider their angle is. It estimates the centre of all \
            fine-tunings from a few. Vectors that point apart can give a factor beyond 0 to 1; "clamp" keeps it within.
            """,
        parameters: [.filterWise, .clamp], modelCount: 2...Int.max,
        scope: .combined(by: ModelStockRule.self, whole: StockMerge.self) { !((try? $0.truth(.filterWise)) ?? true) },
        dependsOnLayout: { (try? $0.truth(.filterWise)) ?? false })
}

extension MergeParameter {
    /// Whether each row has its own angle.
    public static let filterWise = MergeParameter(
        "filter_wise", .truth, default: .value(.truth(false)), level: .job, variesByTensor: true,
        meaning: "whether each row of a matrix has its own angle")

    /// Whether t is kept within 0 to 1.
    public static let clamp = MergeParameter(
        "clamp", .truth, default: .value(.truth(false)), level: .job, variesByTensor: true,
        meaning: "whether the factor of the mean is kept within 0 to 1")
}

/// Shrinks the mean of task vectors.
///
/// Source: mergekit's `model_stock`. The cosines are those of unit vectors: Σ_{s<t} cos = (‖Σ Δ_t/‖Δ_t‖‖² − n) / 2 over
/// the n vectors that are not zero. So small vectors lose no digits, and no two models are held at once.
public struct StockMerge: StreamedComputation, ~Copyable {
    private let problem: MergeProblem
    /// Length of a part with its own angle: a row, or everything.
    private let length: Int
    /// ‖Δ_t‖ of each model and part, after the first pass.
    private var norms: [[Double]] = []
    private var position = 0
    private var directions: Matrix<Double>
    private var sum: Matrix<Double>
    private var isMeasured = false
    /// Values, twice.
    public private(set) var nextPass: MergePass? = .values

    /// Empty sums.
    ///
    /// - Throws: ``TaskArithmeticError/unexpectedOperands(_:)`` for a block with factors, or
    ///   ``TaskArithmeticError/linearAlgebra(_:)`` when memory is short.
    public init(_ problem: MergeProblem) throws(TaskArithmeticError) {
        guard case .matrix(let rows, let columns) = problem.shape else {
            throw .unexpectedOperands("a block with factors")
        }
        let length = try problem.arguments.truth(.filterWise) ? columns : rows * columns
        let directions = try Matrix<Double>.zeros(rows, columns)
        let sum = try Matrix<Double>.zeros(rows, columns)
        self.problem = problem
        self.length = length
        self.directions = directions
        self.sum = sum
    }

    /// Measures a model's norms, then adds its vector and its direction.
    ///
    /// - Throws: ``TaskArithmeticError/linearAlgebra(_:)`` for another shape.
    public mutating func add(
        _ values: consuming Matrix<Double>, factors: borrowing TaskFactors, of model: MergedModel
    ) throws(TaskArithmeticError) {
        guard isMeasured else {
            norms.append(try Self.squares(values, length).map { $0.squareRoot() })
            return
        }
        do { try sum.add(values) } catch { throw .linearAlgebra(error) }
        let (norms, length) = (norms[position], length)
        directions.withMutableSpan { directions in
            values.withSpan { values in
                for (part, norm) in norms.enumerated() where norm > 0 {
                    for index in part * length..<(part + 1) * length { directions[index] += values[index] / norm }
                }
            }
        }
        position += 1
    }

    /// ‖·‖² of each part.
    private static func squares(
        _ values: borrowing Matrix<Double>, _ length: Int
    ) throws(TaskArithmeticError) -> [Double] {
        try carryingErrors { () throws(LinearAlgebraError) in
            try values.withSpan { (values: Span<Double>) throws(LinearAlgebraError) -> [Double] in
                var squares: [Double] = []
                for first in stride(from: 0, to: values.count, by: length) {
                    let part = values.extracting(first..<first + length)
                    squares.append(try VectorOperations.dot(part, part))
                }
                return squares
            }
        }
    }

    /// Ends a pass.
    public mutating func endPass() {
        nextPass = isMeasured ? nil : .values
        isMeasured = true
    }

    /// Shrinks the mean.
    ///
    /// - Throws: ``TaskArithmeticError/noTasks`` for less than two models.
    public consuming func finish() throws(TaskArithmeticError) -> MergedBlock {
        let (count, length, norms) = (Double(norms.count), length, norms)
        guard count > 1 else { throw .noTasks }
        let clamps = try problem.arguments.truth(.clamp)
        let squares = try Self.squares(directions, length)
        var sum = sum
        sum.withMutableSpan { sum in
            for (part, square) in squares.enumerated() {
                let directed = norms.count { $0[part] > 0 }
                let factor = ModelStockRule.factor(square, directed: directed, of: norms.count, clamps: clamps)
                for index in part * length..<(part + 1) * length { sum[index] *= factor / count }
            }
        }
        return MergedBlock(values: sum)
    }

    /// The cost: some five operations for an element of each model.
    ///
    /// Memory holds θ_0, a task vector and both sums.
    public static func cost(of shape: MergeProblem.Shape, models: Int) -> MergeCost {
        let elements = Double(shape.rows) * Double(shape.columns)
        return MergeCost(
            multiplyAdds: 5 * Double(models) * elements, numbers: 4 * elements + Double(models * shape.rows),
            factorPasses: 0, valuePasses: 2)
    }
}

/// The combination of ``MergeMethod/modelStock``, where a tensor has one angle.
public enum ModelStockRule: CombinationRule {
    /// t of some vectors.
    ///
    /// - Parameters:
    ///   - square: ‖Σ Δ_t/‖Δ_t‖‖² over those that are not zero.
    ///   - directed: Their number.
    ///   - count: T.
    ///   - clamps: Whether t is kept within 0 to 1.
    /// - Returns: t.
    static func factor(_ square: Double, directed: Int, of count: Int, clamps: Bool) -> Double {
        let others = Double(count - 1)
        let cosine = (square - Double(directed)) / (Double(count) * others)
        let share = 1 + others * cosine
        // Opposite vectors have no centre: the base stays, where mergekit divides by 0.
        let factor = share.magnitude < 1e-6 ? 0 : Double(count) * cosine / share
        return clamps ? min(1, max(0, factor)) : factor
    }

    /// The factor of every vector.
    ///
    /// - Throws: ``TaskArithmeticError/noTasks`` for less than two models.
    public static func combination(
        of products: InnerProducts, _ problem: MergeProblem
    ) throws(TaskArithmeticError) -> CombinationFactors {
        let count = products.count
        guard count > 1 else { throw .noTasks }
        let norms = (0..<count).map(products.norm)
        let directed = norms.indices.filter { norms[$0] > 0 }
        // Pair by pair, because the sum of the squares would lose the digits of their difference.
        var square = Double(directed.count)
        for (place, first) in directed.enumerated() {
            for second in directed[..<place] { square += 2 * products[first, second] / (norms[first] * norms[second]) }
        }
        let factor = factor(
            square, directed: directed.count, of: count, clamps: try problem.arguments.truth(.clamp))
        return CombinationFactors(factors: norms.map { _ in factor / Double(count) })
    }
}
