import KroneckerFactors
import LinearAlgebra
import RandomNumbers
import TaskArithmetic

/// A streamed merge of one tensor without factors, over values in arrays.
struct VectorMerge {
    let method: MergeMethod
    /// Of the job.
    var arguments: [String: MergeValue] = [:]
    /// Of each model, or one for all.
    var modelArguments: [[String: MergeValue]] = [[:]]
    var weights: [Double] = []
    var divides: Bool?
    var rows = 1
    var streams: [RandomStream?] = []
    /// Whether the first values are those of a base that is the origin of the others.
    var hasOrigin = false
    var statistics: [[Double]] = []

    init(_ method: MergeMethod) { self.method = method }

    /// The models' descriptions; under a method that counts the base, the first values are the base's.
    func models(_ count: Int) -> [MergedModel] {
        (0..<count).map { position in
            MergedModel(
                place: position + (method.base == .always || hasOrigin ? 0 : 1),
                weight: hasOrigin && position == 0 ? 0 : weights.isEmpty ? 1 : weights[position],
                arguments: MergeArguments(modelArguments[min(position, modelArguments.count - 1)]),
                randomStream: streams.isEmpty
                    ? RandomStream(seed: 0, task: "model \(position)", tensor: "w") : streams[position])
        }
    }

    /// Reads all passes and gives Δ, or θ under a method that merges models.
    func run(_ values: [[Double]]) throws -> [Double] {
        func merge<Computation: StreamedComputation & ~Copyable>(_ type: Computation.Type) throws -> [Double] {
            var merge = try Computation(try problem(values))
            try Self.read(&merge, values, try problem(values))
            return try merge.finish().intoValues().elements
        }
        guard let computation = method.scope.streamed(for: try problem(values).shape) else {
            throw TaskArithmeticError.unexpectedOperands("elements")
        }
        return try merge(computation)
    }

    /// One round of statistics over a part.
    func measure(_ values: [[Double]]) throws -> [Double] {
        func measure<Part: ModelStatistics & ~Copyable>(_ type: Part.Type) throws -> [Double] {
            var part = try Part(try problem(values))
            try Self.read(&part, values, try problem(values))
            return try part.finish()
        }
        guard let statistics = method.statistics else { return [] }
        return try measure(statistics)
    }

    private func problem(_ values: [[Double]]) throws -> MergeProblem {
        MergeProblem(
            shape: .matrix(rows: rows, columns: values[0].count / rows), models: models(values.count),
            damping: try Damping(.relative, 0.1), divides: divides ?? method.averages,
            arguments: MergeArguments(arguments), statistics: statistics)
    }

    private static func read<Passes: ModelPasses & ~Copyable>(
        _ passes: inout Passes, _ values: [[Double]], _ problem: MergeProblem
    ) throws {
        while let pass = passes.nextPass {
            guard pass == .values else { throw TaskArithmeticError.unexpectedOperands("factors") }
            for (model, elements) in zip(problem.models, values) {
                let matrix = try Matrix(
                    rows: problem.shape.rows, columns: problem.shape.columns, elements: elements)
                try passes.add(matrix, factors: .none, of: model)
            }
            try passes.endPass()
        }
    }
}
