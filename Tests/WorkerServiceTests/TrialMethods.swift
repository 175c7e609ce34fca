import KroneckerFactors
import LinearAlgebra
import TaskArithmetic

// Methods of the tests, each with what no method of the product needs yet. They merge two models.

/// Of each model, over all elements of the checkpoint: Σ Δ² and the number of elements; then the number of elements
/// whose magnitude is above the root of their mean.
struct SpreadStatistics: ModelStatistics, ~Copyable {
    static var rounds: Int { 2 }
    private let problem: MergeProblem
    private var numbers: [Double]
    private(set) var nextPass: MergePass? = .values

    init(_ problem: MergeProblem) {
        self.problem = problem
        numbers = [Double](repeating: 0, count: problem.statistics.isEmpty ? 4 : 2)
    }

    mutating func addFactors(_ factors: borrowing TaskFactors, of model: MergedModel) {}

    mutating func add(_ values: consuming Matrix<Double>, factors: borrowing TaskFactors, of model: MergedModel) {
        let place = model.place - 1
        values.withSpan { values in
            guard let first = problem.statistics.first else {
                for index in values.indices { numbers[2 * place] += values[index] * values[index] }
                numbers[2 * place + 1] += Double(values.count)
                return
            }
            let threshold = (first[2 * place] / first[2 * place + 1]).squareRoot()
            for index in values.indices where values[index].magnitude > threshold { numbers[place] += 1 }
        }
    }

    mutating func endPass() { nextPass = nil }

    consuming func finish() -> [Double] { numbers }

    static func cost(of shape: MergeProblem.Shape, models: Int) -> MergeCost {
        MergeCost(multiplyAdds: 1, numbers: 2 * Double(shape.rows * shape.columns), factorPasses: 0, valuePasses: 1)
    }

    /// The factor of a model's vector.
    static func factor(of place: Int, _ statistics: [[Double]]) -> Double {
        statistics[1][place - 1] / statistics[0][2 * (place - 1)]
    }
}

/// Σ of the vectors, each with its factor by ``SpreadStatistics``.
struct SpreadMerge: StreamedComputation, ~Copyable {
    private let problem: MergeProblem
    private var sum: Matrix<Double>
    private(set) var nextPass: MergePass? = .values

    init(_ problem: MergeProblem) throws(TaskArithmeticError) {
        self.problem = problem
        let zeros: Matrix<Double>
        do { zeros = try Matrix(rows: problem.shape.rows, columns: problem.shape.columns) } catch {
            throw .linearAlgebra(error)
        }
        sum = zeros
    }

    mutating func addFactors(_ factors: borrowing TaskFactors, of model: MergedModel) {}

    mutating func add(
        _ values: consuming Matrix<Double>, factors: borrowing TaskFactors, of model: MergedModel
    ) throws(TaskArithmeticError) {
        let factor = SpreadStatistics.factor(of: model.place, problem.statistics)
        do { try sum.add(values, times: factor) } catch { throw .linearAlgebra(error) }
    }

    mutating func endPass() { nextPass = nil }

    consuming func finish() -> MergedBlock { MergedBlock(values: sum) }

    static func cost(of shape: MergeProblem.Shape, models: Int) -> MergeCost {
        MergeCost(multiplyAdds: 1, numbers: 3 * Double(shape.rows * shape.columns), factorPasses: 0, valuePasses: 1)
    }
}

/// An elementwise rule of a test: the models' vectors, each times a factor.
protocol ScaledElements: ElementwiseComputation, ~Copyable {
    var sums: ElementSums { get set }
    func factor(of model: MergedModel) -> Double
}

/// The base and a sum, in fp64.
struct ElementSums {
    var base: [Double] = []
    var sum: [Double] = []
    let statistics: [[Double]]

    static func values(_ bytes: RawSpan, _ type: ElementType) throws(TaskArithmeticError) -> [Double] {
        var values = [Double](repeating: 0, count: bytes.byteCount / type.byteCount)
        var span = values.mutableSpan
        do { try type.decode(bytes, into: &span) } catch { throw .linearAlgebra(error) }
        return values
    }
}

extension ScaledElements where Self: ~Copyable {
    mutating func begin(base: RawSpan, type: ElementType) throws(TaskArithmeticError) {
        sums.base = try ElementSums.values(base, type)
        sums.sum = [Double](repeating: 0, count: sums.base.count)
    }

    mutating func begin(elements: Int) {
        sums.base = [Double](repeating: 0, count: elements)
        sums.sum = sums.base
    }

    mutating func addBase(weight: Double) {}

    mutating func add(_ checkpoint: RawSpan, type: ElementType, of model: MergedModel) throws(TaskArithmeticError) {
        let factor = factor(of: model)
        for (index, value) in try ElementSums.values(checkpoint, type).enumerated() {
            sums.sum[index] += factor * (value - sums.base[index])
        }
    }

    mutating func finish(
        divides: Bool, alpha: Double, arguments: MergeArguments, into bytes: inout MutableRawSpan, type: ElementType
    ) throws(TaskArithmeticError) {
        let merged = zip(sums.base, sums.sum).map { $0 + alpha * $1 }
        do { try type.encode(merged.span, into: &bytes) } catch { throw .linearAlgebra(error) }
    }
}

/// ``SpreadMerge``, element by element.
struct SpreadElements: ScaledElements, ~Copyable {
    var sums: ElementSums
    init(capacity: Int, precision: MergePrecision, statistics: [[Double]]) {
        sums = ElementSums(statistics: statistics)
    }
    func factor(of model: MergedModel) -> Double { SpreadStatistics.factor(of: model.place, sums.statistics) }
}

/// θ_0 − Σ w_t Δ_t: a rule of its own for vectors.
struct OppositeElements: ScaledElements, ~Copyable {
    var sums: ElementSums
    init(capacity: Int, precision: MergePrecision, statistics: [[Double]]) {
        sums = ElementSums(statistics: statistics)
    }
    func factor(of model: MergedModel) -> Double { -model.weight }
}

/// Σ B⁻¹ Δ_t A⁻¹ with diagonal inverses of each model's target: a result for each target, summed.
struct InverseProducts: StreamedComputation, ~Copyable {
    private var sum: Matrix<Double>
    private var inverses: LayerFactors?
    private(set) var nextPass: MergePass? = [.values, .inverses]

    init(_ problem: MergeProblem) throws(TaskArithmeticError) {
        let zeros: Matrix<Double>
        do { zeros = try Matrix(rows: problem.shape.rows, columns: problem.shape.columns) } catch {
            throw .linearAlgebra(error)
        }
        sum = zeros
    }

    mutating func addInverses(_ inverses: consuming TaskFactors, of model: MergedModel) throws(TaskArithmeticError) {
        switch consume inverses {
        case .layer(let layer): self.inverses = .some(layer)
        case .parameter: throw .unexpectedOperands("the inverse of a parameter")
        case .none: throw .unexpectedOperands("no inverses")
        }
    }

    mutating func addFactors(_ factors: borrowing TaskFactors, of model: MergedModel) {}

    mutating func add(
        _ values: consuming Matrix<Double>, factors: borrowing TaskFactors, of model: MergedModel
    ) throws(TaskArithmeticError) {
        guard let inverses = inverses.take() else { throw .unexpectedOperands("no inverses") }
        let (rows, columns) = (values.rowCount, values.columnCount)
        do {
            let left = try inverses.gradient.unpackedLower().withSpan { span in
                (0..<rows).map { span[$0 * rows + $0] }
            }
            let right = try inverses.input.unpackedLower().withSpan { span in
                (0..<columns).map { span[$0 * columns + $0] }
            }
            values.withMutableSpan { span in
                for index in span.indices { span[index] *= left[index / columns] * right[index % columns] }
            }
            try sum.add(values)
        } catch { throw .linearAlgebra(error) }
        // Inverses for all models came with the first.
        self.inverses = .some(inverses)
    }

    mutating func endPass() { nextPass = nil }

    consuming func finish() -> MergedBlock { MergedBlock(values: sum) }

    static func cost(of shape: MergeProblem.Shape, models: Int) -> MergeCost {
        MergeCost(
            multiplyAdds: 1, numbers: 9 * Double(shape.rows * shape.columns), factorPasses: 0, valuePasses: 1,
            inversePasses: 1)
    }
}

extension MergeMethod {
    /// A method that only tests know.
    static func trial(
        _ scope: MergeScope, statistics: (any (ModelStatistics & ~Copyable).Type)? = nil
    ) -> MergeMethod {
        MergeMethod(
            name: "trial", paper: Paper("nobody"), formula: "θ", summary: "Only for tests.",
            parameters: [.weight, .normalize(default: false), .lambda], scope: scope, statistics: statistics)
    }
}
