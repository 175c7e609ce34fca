public import LinearAlgebra

extension MergeMethod {
    /// The elements that vary most, weighted by the vectors' energy, with the elected sign.
    public static let sce = MergeMethod(
        name: "sce", paper: Paper("Wan et al. 2024", arXiv: "2408.07990"),
        formula: "θ₀ + Σ c_t m_t Δ_t / Σ c_t m_t, c_t ∝ mean of the selected Δ_t²",
        summary: """
            Selects the elements that vary most between the models, weights each vector by the mean square of what is \
            selected, and averages what has the elected sign. As in mergekit, the weights are equal where the mean \
            squares sum to less than 1e-6, as they do for most fine-tunings.
            """,
        parameters: [.selectedShare], scope: .tensors(SelectedMean.self))
}

extension MergeParameter {
    /// The share of varying elements that are selected.
    public static let selectedShare = MergeParameter(
        "select_topk", .number(.from(0, to: 1)), default: .value(.number(1)), level: .job, variesByTensor: true,
        meaning: "share of the elements that differ between models, which are selected by their variance")
}

/// Selects, calculates and erases.
///
/// Source: mergekit's `sce`. The first pass measures variances, as differences from the first vector, so that equal
/// vectors have none. The second measures the selected squares, and the third sums.
public struct SelectedMean: StreamedComputation, ~Copyable {
    private let problem: MergeProblem
    private let share: Double
    private var pass = 0
    private var position = 0
    /// The first vector; then whether an element is selected, and its sign.
    private var first: Matrix<Double>?
    /// Σ (Δ_t − Δ_1), then Σ c_t m_t Δ_t.
    private var sum: Matrix<Double>
    /// Σ (Δ_t − Δ_1)², then Σ c_t m_t.
    private var divisor: Matrix<Double>
    /// Of each element: 0 if it is not selected, else the elected sign.
    private var signs: [Int8] = []
    /// The mean squares, then c_t.
    private var weights: [Double] = []
    /// Values, three times.
    public private(set) var nextPass: MergePass? = .values

    /// Empty sums.
    ///
    /// - Throws: ``TaskArithmeticError/unexpectedOperands(_:)`` for a block with factors, or
    ///   ``TaskArithmeticError/linearAlgebra(_:)`` when memory is short.
    public init(_ problem: MergeProblem) throws(TaskArithmeticError) {
        guard case .matrix(let rows, let columns) = problem.shape else {
            throw .unexpectedOperands("a block with factors")
        }
        let share = try problem.arguments.number(.selectedShare)
        let sum = try Matrix<Double>.zeros(rows, columns)
        let divisor = try Matrix<Double>.zeros(rows, columns)
        self.problem = problem
        self.share = share
        self.sum = sum
        self.divisor = divisor
    }

    /// Adds what the pass measures or sums.
    public mutating func add(_ values: consuming Matrix<Double>, factors: borrowing TaskFactors, of model: MergedModel)
    {
        switch pass {
        case 0: addVariance(values)
        case 1: addSquares(values)
        default: addSelected(values)
        }
        position += 1
    }

    private mutating func addVariance(_ values: consuming Matrix<Double>) {
        guard let first = first.take() else {
            self.first = .some(values)
            return
        }
        first.withSpan { first in
            values.withSpan { values in
                sum.withMutableSpan { sum in
                    for index in values.indices { sum[index] += values[index] - first[index] }
                }
                divisor.withMutableSpan { squares in
                    for index in values.indices {
                        let difference = values[index] - first[index]
                        squares[index] += difference * difference
                    }
                }
            }
        }
        self.first = .some(first)
    }

    private mutating func addSquares(_ values: borrowing Matrix<Double>) {
        let signs = signs
        weights.append(
            values.withSpan { values in
                var squares = 0.0
                for index in values.indices where signs[index] != 0 { squares += values[index] * values[index] }
                return squares / Double(values.count)
            })
    }

    private mutating func addSelected(_ values: borrowing Matrix<Double>) {
        let (signs, weight) = (signs, weights[position])
        values.withSpan { values in
            sum.withMutableSpan { sum in
                for index in values.indices where values[index] * Double(signs[index]) > 0 {
                    sum[index] += weight * values[index]
                }
            }
            divisor.withMutableSpan { divisor in
                for index in values.indices where values[index] * Double(signs[index]) > 0 {
                    divisor[index] += weight
                }
            }
        }
    }

    /// Ends a pass: selects, or finds the weights.
    public mutating func endPass() {
        (pass, position) = (pass + 1, 0)
        switch pass {
        case 1: select()
        case 2:
            let total = weights.reduce(0, +)
            let count = Double(weights.count)
            weights = total < 1e-6 ? weights.map { _ in 1 / count } : weights.map { $0 / total }
            sum.clearPrefix(sum.elementCount)
            divisor.clearPrefix(divisor.elementCount)
        default: nextPass = nil
        }
    }

    /// Elects the signs, and selects by variance.
    private mutating func select() {
        guard let first = first.take() else { return }
        let (count, share) = (Double(problem.models.count), share)
        signs = first.withSpan { first in
            sum.withSpan { sum in
                sum.indices.map { count * first[$0] + sum[$0] >= 0 ? 1 : -1 }
            }
        }
        guard share < 1 else { return }
        sum.withSpan { sum in
            divisor.withMutableSpan { variances in
                var varying = 0
                for index in variances.indices {
                    let mean = sum[index] / count
                    variances[index] = max(0, variances[index] / count - mean * mean)
                    if variances[index] > 0 { varying += 1 }
                }
                var largest = LargestMagnitudes(Int(share * Double(varying)), of: variances.span)
                for index in variances.indices where !largest.takes(next: variances[index]) { signs[index] = 0 }
            }
        }
    }

    /// Divides the sum.
    public consuming func finish() -> MergedBlock {
        var sum = sum
        divisor.withSpan { divisor in
            sum.withMutableSpan { sum in for index in sum.indices { sum[index] /= max(1e-6, divisor[index]) } }
        }
        return MergedBlock(values: sum)
    }

    /// The cost: some four operations for an element of each model in each pass.
    ///
    /// Memory holds θ_0, two vectors, both sums and the signs.
    public static func cost(of shape: MergeProblem.Shape, models: Int) -> MergeCost {
        let elements = Double(shape.rows) * Double(shape.columns)
        return MergeCost(
            multiplyAdds: 12 * Double(models) * elements, numbers: 5.125 * elements, factorPasses: 0, valuePasses: 3)
    }
}
