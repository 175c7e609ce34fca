import KroneckerFactors
import LinearAlgebra
import RandomNumbers
import TaskArithmetic
import TestSupport
import Testing

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

    /// Gives Δ, or θ under a method that merges models.
    ///
    /// A method with two forms is run in both, which must agree, also in what they refuse.
    func run(_ values: [[Double]]) throws -> [Double] {
        let whole = Result { try runWhole(values) }
        guard let measured = method.scope.measured(MergeArguments(arguments)) else { return try whole.get() }
        // Ranges of any length.
        for length in [1, 3, values[0].count] {
            let ranged = Result { try runMeasured(measured, values, length: length) }
            switch (whole, ranged) {
            case (.success(let whole), .success(let ranged)):
                let size = whole.reduce(0) { max($0, $1.magnitude) }
                expectClose(ranged, whole, absolute: max(1e-14 * size, 1e-300))
            case (.failure(let whole), .failure(let ranged)): #expect("\(ranged)" == "\(whole)")
            default: Issue.record("in ranges \(ranged), whole \(whole)")
            }
        }
        return try whole.get()
    }

    /// Measures the tensor and merges it, some elements at a time.
    private func runMeasured(_ measured: MeasuredElements, _ values: [[Double]], length: Int) throws -> [Double] {
        let problem = try problem(values)
        let ranges = stride(from: 0, to: values[0].count, by: length).map { $0..<min($0 + length, values[0].count) }
        func numbers<Measurement: TensorMeasurement & ~Copyable>(_ type: Measurement.Type) throws -> [Double] {
            var measurement = try Measurement(problem)
            var block = try ModelBlock(models: values.count)
            while measurement.needsPass {
                for range in ranges {
                    try block.begin(at: range.lowerBound, count: range.count)
                    for (model, elements) in values.enumerated() {
                        block.withMutableValues(of: model) { target in
                            for (place, index) in range.enumerated() { target[place] = elements[index] }
                        }
                    }
                    try measurement.add(block)
                }
                measurement.endPass()
            }
            return try measurement.finish()
        }
        func merge<Computation: ElementwiseComputation & ~Copyable>(
            _ type: Computation.Type, _ numbers: [Double]
        ) throws -> [Double] {
            var merge = try Computation(capacity: length, precision: .double, statistics: statistics + [numbers])
            var merged: [Double] = []
            for range in ranges {
                merge.place(at: range.lowerBound)
                let zeros = [Double](repeating: 0, count: range.count)
                if method.terms == .taskVectors {
                    try merge.begin(base: zeros.span.bytes, type: .f64)
                } else {
                    try merge.begin(elements: range.count)
                }
                for (model, elements) in zip(problem.models, values) {
                    let part = Array(elements[range])
                    try merge.add(part.span.bytes, type: .f64, of: model)
                }
                var result = zeros
                var span = result.mutableSpan
                var target = span.mutableBytes
                try merge.finish(
                    divides: problem.divides, alpha: 1, arguments: problem.arguments, into: &target, type: .f64)
                merged += result
            }
            return merged
        }
        return try merge(measured.computation, try numbers(measured.measurement))
    }

    private func runWhole(_ values: [[Double]]) throws -> [Double] {
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
