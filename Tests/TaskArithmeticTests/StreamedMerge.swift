import KroneckerFactors
import LinearAlgebra
import TaskArithmetic
import TestSupport
import Testing

/// A merge by a method's streamed computation, as a worker runs it.
struct StreamedMerge {
    /// One model.
    struct Model {
        /// Row by row.
        var delta: [[Double]]
        var weight = 1.0
        var lambda = 1.0
        /// A and B of a layer, as full squares.
        var input: [[Double]]?
        var gradient: [[Double]]?
    }

    let method: MergeMethod
    var arguments: [String: MergeValue] = [:]
    /// Parameters that each model has.
    var modelArguments: [String: MergeValue] = [:]
    /// Rule and value of the damping; none without curvature.
    var damping: (DampingRule, Double) = (.absolute, 0)
    /// Whether factors are fp64.
    var readsDouble = false

    /// The result.
    struct Result {
        let rows: [[Double]]
        let solution: MergeSolution?
        let healths: [FactorHealth]
        /// The passes that were made.
        let passes: [MergePass]
        var elements: [Double] { rows.flatMap { $0 } }
    }

    /// Merges layers, if the models have factors, or matrices.
    func callAsFunction(_ models: [Model]) throws -> Result {
        let (rows, columns) = (models[0].delta.count, models[0].delta[0].count)
        guard models[0].input != nil else { return try run(models, .matrix(rows: rows, columns: columns)) }
        return try run(models, .layer(outputs: .full(rows), inputs: .full(columns)))
    }

    /// Merges matrices of weight 1.
    func callAsFunction(_ deltas: [[[Double]]]) throws -> [[Double]] { try self(deltas.map { Model(delta: $0) }).rows }

    /// Merges parameters; each model's F is its `input`.
    func parameter(_ models: [Model]) throws -> Result {
        try run(models, .parameter(count: models[0].delta[0].count))
    }

    private func run(_ models: [Model], _ shape: MergeProblem.Shape) throws -> Result {
        let computation = try #require(method.scope.streamed(for: shape))
        let problem = MergeProblem(
            shape: shape,
            models: models.enumerated().map {
                MergedModel(
                    place: $0 + 1, weight: $1.weight, lambda: $1.lambda, arguments: MergeArguments(modelArguments))
            },
            damping: try Damping(damping.0, damping.1), arguments: MergeArguments(arguments))
        return try run(computation, problem, models)
    }

    private func run<Computation: StreamedComputation & ~Copyable>(
        _ computation: Computation.Type, _ problem: MergeProblem, _ models: [Model]
    ) throws -> Result {
        var merge = try Computation(problem)
        var passes: [MergePass] = []
        while let pass = merge.nextPass {
            passes.append(pass)
            for (model, merged) in zip(models, problem.models) where !pass.isEmpty {
                let factors = pass.contains(.factors) ? try factors(of: model, problem.shape) : .none
                guard pass.contains(.values) else {
                    try merge.addFactors(factors, of: merged)
                    continue
                }
                let values = try Matrix<Double>(
                    rows: model.delta.count, columns: model.delta[0].count, elements: model.delta.flatMap { $0 })
                try merge.add(values, factors: factors, of: merged)
            }
            try merge.endPass()
        }
        let block = try merge.finish()
        let (solution, healths) = (block.solution, block.healths)
        let values = block.intoValues()
        let (elements, columns) = (values.elements, values.columnCount)
        let rows = (0..<values.rowCount).map { Array(elements[$0 * columns..<($0 + 1) * columns]) }
        return Result(rows: rows, solution: solution, healths: healths, passes: passes)
    }

    private func factors(of model: Model, _ shape: MergeProblem.Shape) throws -> TaskFactors {
        func packed(_ square: [[Double]]?) throws -> TaskFactor {
            let square = try #require(square)
            let elements = square.indices.flatMap { square[$0][...$0] }
            guard !readsDouble else {
                return .double(try PackedSymmetricMatrix(dimension: square.count, elements: elements))
            }
            return .single(try PackedSymmetricMatrix(dimension: square.count, elements: elements.map { Float($0) }))
        }
        if case .parameter = shape { return .parameter(try packed(model.input)) }
        return .layer(LayerFactors(input: try packed(model.input), gradient: try packed(model.gradient)))
    }
}

/// Rotates the rows and the columns of matrices.
struct Rotation {
    private let left: [[Double]]
    private let right: [[Double]]

    init(of shape: (Int, Int)) {
        var random = SplitMix64(seed: 4)
        left = DenseSquare.orthogonal(shape.0, &random)
        right = DenseSquare.orthogonal(shape.1, &random)
    }

    func callAsFunction(_ matrix: [[Double]]) -> [[Double]] {
        DenseSquare.product(DenseSquare.product(left, matrix), right)
    }
}

extension StreamedMerge {
    /// Expects the rotated and the scaled result of rotated and scaled vectors.
    func expectRotationsAndScalesPass(
        _ vectors: [[[Double]]], _ rotated: Rotation, sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let merged = try self(vectors)
        expectClose(
            try self(vectors.map { rotated($0) }), rotated(merged), share: 1e-11, sourceLocation: sourceLocation)
        for scale in [1e-6, -3, 1e5] {
            let scaled = vectors.map { DenseSquare.scaled($0, by: scale) }
            expectClose(
                try self(scaled), DenseSquare.scaled(merged, by: scale), share: 1e-11,
                sourceLocation: sourceLocation)
        }
    }
}

/// The matrices of documented values.
enum Documented {
    static let vectors: [[[Double]]] = [[[1, 2], [0, 1]], [[2, 0], [1, 3]]]
    static let inputs: [[[Double]]] = [[[2, 1], [1, 2]], [[1, 0], [0, 3]]]
    static let gradients: [[[Double]]] = [[[1, 0.5], [0.5, 1]], [[2, 0], [0, 1]]]

    /// Both tasks with their factors, with equal shares.
    static let layers = vectors.indices.map {
        StreamedMerge.Model(delta: vectors[$0], lambda: 0.5, input: inputs[$0], gradient: gradients[$0])
    }
}

extension DenseSquare {
    static func scaled(_ matrix: [[Double]], by scale: Double) -> [[Double]] { matrix.map { $0.map { $0 * scale } } }

    static func random(_ rows: Int, _ columns: Int, _ random: inout SplitMix64) -> [[Double]] {
        (0..<rows).map { _ in random.values(columns) }
    }

    static func zeros(_ rows: Int, _ columns: Int) -> [[Double]] {
        [[Double]](repeating: [Double](repeating: 0, count: columns), count: rows)
    }

    static func norm(_ matrix: [[Double]]) -> Double {
        matrix.reduce(0) { $0 + $1.reduce(0) { $0 + $1 * $1 } }.squareRoot()
    }

    /// Orthonormal rows, by Gram and Schmidt.
    static func orthogonal(_ order: Int, _ random: inout SplitMix64) -> [[Double]] {
        var basis: [[Double]] = []
        while basis.count < order {
            var vector = random.values(order)
            for _ in 0..<2 {
                for other in basis {
                    let product = zip(vector, other).reduce(0) { $0 + $1.0 * $1.1 }
                    vector = zip(vector, other).map { $0 - product * $1 }
                }
            }
            let norm = norm([vector])
            if norm > 0.1 { basis.append(vector.map { $0 / norm }) }
        }
        return basis
    }
}

/// Expects matrices of equal shape, close to each other by the size of the second.
func expectClose(
    _ found: [[Double]], _ expected: [[Double]], share: Double, sourceLocation: SourceLocation = #_sourceLocation
) {
    let scale = max(DenseSquare.norm(expected), 1e-300)
    let difference = DenseSquare.sum([found, expected], times: [1, -1])
    #expect(
        DenseSquare.norm(difference) <= share * scale, "\(found); expected \(expected)", sourceLocation: sourceLocation)
}
