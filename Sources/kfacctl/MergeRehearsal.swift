import Console
import CostEstimate
import KroneckerFactors
import LinearAlgebra
import TaskArithmetic
import UnitOperations

/// Runs the method of a merge on drawn numbers, to see how long a lane takes for it.
///
/// A step needs the results of the steps before it, so these are run first.
struct MergeRehearsal {
    let sample: MergeSample
    private let shape: MergeProblem.Shape
    private let values: DrawnModels

    /// Elements that the coordinator merges at a time.
    private static let blockElements = 4096

    /// Draws the numbers.
    ///
    /// - Throws: `LinearAlgebraError` when memory is short.
    init(of sample: MergeSample, shape: MergeProblem.Shape) throws {
        (self.sample, self.shape) = (sample, shape)
        values = try DrawnModels(of: sample, shape: shape)
    }

    /// The pace of a sample.
    ///
    /// - Throws: What the method throws on such numbers.
    static func pace(of sample: MergeSample) throws -> MergePace {
        let shapes = sample.rehearsedShapes
        let (larger, passes) = try MergeRehearsal(of: sample, shape: shapes.larger).run()
        let smaller = try shapes.smaller.map { try MergeRehearsal(of: sample, shape: $0).run().run }
        return MergePace(larger, smaller: smaller, passes: passes)
    }

    /// The seconds of the step, and the passes over values that it took.
    private func run() throws -> (run: MergePace.Run, passes: Double) {
        var passes = 0.0
        // A method that iterates may take other passes over factors than its cost states.
        var share = 1.0
        let rate: Double
        switch sample.step {
        case .statistics(let round):
            guard let statistics = sample.method.statistics else { throw Self.unknown }
            let lists = try self.statistics(before: round)
            rate = try RateMeasurement.rate(of: 1) { passes = try measure(statistics, problem(lists)).passes }
        case .measurement:
            guard let measured = sample.method.scope.measured(sample.arguments) else { throw Self.unknown }
            let lists = try self.statistics(before: rounds)
            rate = try RateMeasurement.rate(of: 1) {
                passes = try numbers(measured.measurement, problem(lists)).passes
            }
        case .elements(let isMeasured):
            var lists = try self.statistics(before: rounds)
            let measured = isMeasured ? sample.method.scope.measured(sample.arguments) : nil
            if let measured { lists.append(try numbers(measured.measurement, problem(lists)).numbers) }
            let computation = measured?.computation ?? sample.method.scope.elementwise
            rate = try RateMeasurement.rate(of: 1) { try mergeElements(computation, lists) }
        case .whole:
            guard let computation = sample.method.scope.streamed(for: shape) else { throw Self.unknown }
            let lists = try self.statistics(before: rounds)
            rate = try RateMeasurement.rate(of: 1) { (passes, share) = try merge(computation, problem(lists)) }
        }
        let run = MergePace.Run(
            work: sample.work(of: shape), elements: Double(values.elementCount), seconds: 1 / (rate * share))
        return (run, passes)
    }

    private static let unknown = CommandFailure(.failed, "this program does not merge so.")

    private var rounds: Int { sample.method.statistics(for: sample.arguments)?.rounds ?? 0 }

    /// The lists of the rounds of statistics before one.
    private func statistics(before round: Int) throws -> [[Double]] {
        guard let statistics = sample.method.statistics(for: sample.arguments) else { return [] }
        var lists: [[Double]] = []
        for _ in 0..<round { lists.append(try measure(statistics, problem(lists)).numbers) }
        return lists
    }

    private func problem(_ statistics: [[Double]]) throws -> MergeProblem {
        MergeProblem(
            shape: shape, models: sample.models.map(\.model),
            damping: try Damping(sample.damping.rule, sample.damping.value), divides: sample.divides,
            arguments: sample.arguments, statistics: statistics)
    }

    // MARK: - Element by element

    private func mergeElements<Computation: ElementwiseComputation & ~Copyable>(
        _: Computation.Type, _ statistics: [[Double]]
    ) throws {
        let types = [values.base.type, sample.outputType] + sample.models.map(\.type)
        let precision = sample.method.needsFactors ? MergePrecision.double : MergePrecision(operands: types)
        var merge = try Computation(capacity: Self.blockElements, precision: precision, statistics: statistics)
        var output = [UInt8](repeating: 0, count: Self.blockElements * sample.outputType.byteCount)
        for first in stride(from: 0, to: values.elementCount, by: Self.blockElements) {
            let block = first..<min(first + Self.blockElements, values.elementCount)
            merge.place(at: first)
            let base = values.base.storage.span.bytes.extracting(values.base.place(of: block))
            if sample.method.terms == .taskVectors {
                try merge.begin(base: base, type: values.base.type)
                try merge.addBase(weight: sample.models.first { $0.model.place == 0 }?.model.weight ?? 0)
            } else {
                try merge.begin(elements: block.count)
            }
            for (position, model) in sample.models.enumerated() {
                guard model.model.place != 0 || sample.method.terms != .taskVectors else { continue }
                let own = values.models[position]
                try merge.add(
                    own.storage.span.bytes.extracting(own.place(of: block)), type: model.type, of: model.model)
            }
            var span = output.mutableSpan
            var raw = span.mutableBytes
            var target = raw._mutatingExtracting(first: block.count * sample.outputType.byteCount)
            try merge.finish(
                divides: sample.divides, alpha: 1, arguments: sample.arguments, into: &target, type: sample.outputType)
            _ = sample.outputType.firstNonFinite(in: target.bytes)
        }
    }

    /// The numbers of the drawn part, and the passes that they took.
    private func numbers<Measurement: TensorMeasurement & ~Copyable>(
        _: Measurement.Type, _ problem: MergeProblem
    ) throws -> (numbers: [Double], passes: Double) {
        var measurement = try Measurement(problem)
        var block = try ModelBlock(models: sample.models.count)
        var base = try Matrix<Double>(rows: 1, columns: ModelBlock.capacity)
        var passes = 0.0
        while measurement.needsPass {
            for first in stride(from: 0, to: values.elementCount, by: ModelBlock.capacity) {
                let part = first..<min(first + ModelBlock.capacity, values.elementCount)
                try block.begin(at: first, count: part.count)
                try values.fill(&block, part, &base, subtractsBase: sample.baseType != nil)
                try measurement.add(block)
            }
            measurement.endPass()
            passes += 1
        }
        return (try measurement.finish(), passes)
    }

    // MARK: - As a whole

    private func measure<Statistics: ModelStatistics & ~Copyable>(
        _: Statistics.Type, _ problem: MergeProblem
    ) throws -> (numbers: [Double], passes: Double) {
        var part = try Statistics(problem)
        let passes = try read(by: &part, problem)
        let numbers = try Statistics.combined([try part.finish()], round: problem.statistics.count)
        return (numbers, passes.values)
    }

    /// Merges the drawn part.
    ///
    /// - Returns: The passes over values, and those over factors as a share of what the cost states.
    private func merge<Computation: StreamedComputation & ~Copyable>(
        _: Computation.Type, _ problem: MergeProblem
    ) throws -> (passes: Double, share: Double) {
        var merge = try Computation(problem)
        let passes = try read(by: &merge, problem)
        let merged = try merge.finish().intoValues()
        var output = [UInt8](repeating: 0, count: merged.elementCount * sample.outputType.byteCount)
        var span = output.mutableSpan
        var target = span.mutableBytes
        try merged.withSpan { try sample.outputType.encode($0, into: &target) }
        let stated = Computation.cost(of: problem.shape, models: problem.models.count).factorPasses
        return (passes.values, stated > 0 ? passes.factors / Double(stated) : 1)
    }

    /// Reads the drawn models in all passes that a computation asks for.
    private func read<Passes: ModelPasses & ~Copyable>(
        by passes: inout Passes, _ problem: MergeProblem
    ) throws -> (values: Double, factors: Double) {
        var count = (values: 0.0, factors: 0.0)
        while let pass = passes.nextPass {
            for (position, model) in problem.models.enumerated() {
                if pass.contains(.inverses) {
                    try passes.addInverses(try DrawnModels.factors(of: problem.shape, position), of: model)
                }
                guard !pass.isDisjoint(with: [.factors, .values]) else { continue }
                let factors =
                    pass.contains(.factors) ? try DrawnModels.factors(of: problem.shape, position) : TaskFactors.none
                if pass.contains(.values) {
                    let own = try values.matrix(position, problem.shape, subtractsBase: sample.baseType != nil)
                    try passes.add(own, factors: factors, of: model)
                } else {
                    try passes.addFactors(factors, of: model)
                }
            }
            try passes.endPass()
            count.values += pass.contains(.values) ? 1 : 0
            count.factors += pass.contains(.factors) ? 1 : 0
        }
        return count
    }
}
