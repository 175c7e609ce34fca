import LinearAlgebra

/// Finds which elements of each task vector a method keeps, and the factor of what is kept.
///
/// A magnitude is found in two counts of its digits. A third pass finds the last of its elements that is kept, and a
/// fourth measures the norm of what is kept, each only where the method needs it.
public struct SparsityMeasurement<Rule: TaskVectorRule>: TensorMeasurement, ~Copyable {
    /// What a pass does.
    private enum Stage: Int {
        case leading, trailing, ends, norms

        var next: Stage? { Stage(rawValue: rawValue + 1) }
    }

    private let problem: MergeProblem
    private let sparsifier: Sparsifier
    /// The searches of each model: for the smallest magnitude that is kept, and for the smallest outlier.
    private var searches: [[MagnitudeSearch]]
    /// Counts of leading digits, of each model with searches.
    private var leading: [[UInt32]]
    private var kept: [KeptMagnitudes]
    /// Whether a model's vector loses elements.
    private let isThinned: [Bool]
    /// Σ |Δ_t|, and of these the kept, of each model.
    private var norms: [(all: Double, kept: Double)]
    private var stage: Stage? = .leading
    private var scratch: Matrix<Double>

    /// Nothing measured yet.
    ///
    /// - Throws: ``TaskArithmeticError`` for missing parameters, random numbers or statistics.
    public init(_ problem: MergeProblem) throws(TaskArithmeticError) {
        guard case .matrix(let rows, let columns) = problem.shape else {
            throw .unexpectedOperands("a block with factors")
        }
        let sparsifier = try Sparsifier(Rule.sparsification, rescalesByDefault: Rule.rescales, problem.arguments)
        var plans: [(kept: KeptMagnitudes, searches: [MagnitudeSearch])] = []
        var isThinned: [Bool] = []
        for model in problem.models {
            var plan = try Self.plan(model, elementCount: rows * columns, problem.statistics)
            let density = try model.arguments.number(.density)
            if sparsifier.dividesByProbability, Rule.sparsification == .atRandom { plan.kept.scale = 1 / density }
            plans.append(plan)
            isThinned.append(density < 1)
        }
        let scratch = try Matrix<Double>.zeros(1, ModelBlock.capacity)
        self.problem = problem
        self.sparsifier = sparsifier
        kept = plans.map(\.kept)
        searches = plans.map(\.searches)
        leading = plans.map { plan in
            plan.searches.isEmpty ? [] : [UInt32](repeating: 0, count: MagnitudeKey.leadingCount)
        }
        norms = plans.map { _ in (0, 0) }
        self.isThinned = isThinned
        self.scratch = scratch
        skipStages()
    }

    /// What is known of a model before a pass, and what is searched.
    private static func plan(
        _ model: MergedModel, elementCount: Int, _ statistics: [[Double]]
    ) throws(TaskArithmeticError) -> (kept: KeptMagnitudes, searches: [MagnitudeSearch]) {
        let density = try model.arguments.number(.density)
        guard density < 1 else { return (KeptMagnitudes(), []) }
        // Truncated in binary floating point, as in mergekit: 0.29 of 100 are 28.
        let count = max(1, Int(density * Double(elementCount)))
        switch Rule.sparsification {
        case .largest:
            guard statistics.isEmpty else {
                let threshold = try TrimStatistics.threshold(of: model, statistics)
                return (KeptMagnitudes(lowest: threshold.bitPattern), [])
            }
            return (KeptMagnitudes(), [MagnitudeSearch(count)])
        case .belowOutliers:
            let top = min(Int(try model.arguments.number(.gamma) * Double(elementCount)), elementCount - count)
            return (KeptMagnitudes(), [MagnitudeSearch(top + count)] + (top > 0 ? [MagnitudeSearch(top)] : []))
        case .atRandom: return (KeptMagnitudes(), [])
        case .atRandomByRank: throw .unexpectedOperands("a method of ranks")
        }
    }

    /// Whether anything is left to do.
    public var needsPass: Bool { stage != nil }

    /// Moves on to the next stage that has anything to do.
    private mutating func skipStages() {
        let (all, isThinned) = (searches.joined(), isThinned)
        while let current = stage {
            let isNeeded =
                switch current {
                case .leading, .trailing: !all.isEmpty
                case .ends: all.contains(where: \.isAmbiguous)
                case .norms: sparsifier.keepsNorm && isThinned.contains(true)
                }
            guard !isNeeded else { return }
            stage = current.next
        }
    }

    /// Counts, or sums.
    ///
    /// - Throws: ``TaskArithmeticError`` for a model without the numbers that the method draws.
    public mutating func add(_ block: borrowing ModelBlock) throws(TaskArithmeticError) {
        for model in problem.models.indices {
            switch stage {
            case .leading:
                guard !searches[model].isEmpty else { continue }
                block.withValues(of: model) { values in
                    var counts = leading[model].mutableSpan
                    MagnitudeKey.countLeading(values, into: &counts)
                }
            case .trailing:
                for search in searches[model].indices {
                    block.withValues(of: model) { values in searches[model][search].countTrailing(values) }
                }
            case .ends:
                for search in searches[model].indices {
                    block.withValues(of: model) { values in searches[model][search].findEnd(values, block.first) }
                }
            case .norms: try addNorm(of: model, block)
            case nil: break
            }
        }
    }

    private mutating func addNorm(of model: Int, _ block: borrowing ModelBlock) throws(TaskArithmeticError) {
        guard isThinned[model] else { return }
        let (kept, own) = (kept[model], problem.models[model])
        let (all, remaining) = try block.withValues(of: model) {
            (values: Span<Double>) throws(TaskArithmeticError) -> (Double, Double) in
            var remaining = 0.0
            try scratch.withMutablePrefix(values.count) {
                (copy: inout MutableSpan<Double>) throws(TaskArithmeticError) in
                for index in values.indices { copy[index] = values[index] }
                try Rule.sparsification.thin(&copy, from: block.first, of: own, kept)
                remaining = VectorOperations.magnitudeSum(copy.span)
            }
            return (VectorOperations.magnitudeSum(values), remaining)
        }
        norms[model].all += all
        norms[model].kept += remaining
    }

    /// Ends a pass.
    public mutating func endPass() {
        switch stage {
        case .leading:
            for model in searches.indices {
                for search in searches[model].indices { searches[model][search].takeLeading(leading[model]) }
            }
            leading = []
        case .trailing:
            for model in searches.indices {
                for search in searches[model].indices { searches[model][search].takeTrailing() }
                takeBounds(of: model)
            }
        case .ends: for model in searches.indices { takeBounds(of: model) }
        case .norms:
            for model in norms.indices where norms[model].kept > 0 {
                kept[model].scale = norms[model].all / norms[model].kept
            }
        case nil: return
        }
        stage = stage?.next
        skipStages()
    }

    private mutating func takeBounds(of model: Int) {
        guard let lowest = searches[model].first else { return }
        (kept[model].lowest, kept[model].lowestEnd) = (lowest.key, lowest.end)
        guard searches[model].count > 1 else { return }
        (kept[model].outlier, kept[model].outlierEnd) = (searches[model][1].key, searches[model][1].end)
    }

    /// The bounds and the factor of each model.
    public consuming func finish() -> [Double] { kept.flatMap(\.numbers) }

    /// The cost: some four operations for an element of each model in each of up to four passes.
    ///
    /// Memory holds the counts of both digits.
    public static func cost(of shape: MergeProblem.Shape, models: Int) -> MergeCost {
        let elements = Double(shape.rows) * Double(shape.columns)
        let searches = Rule.sparsification == .belowOutliers ? 2 : Rule.sparsification == .largest ? 1 : 0
        let passes = searches > 0 ? 4 : 1
        let counts = searches * (MagnitudeKey.leadingCount + MagnitudeKey.trailingCount) / 2
        return MergeCost(
            multiplyAdds: 4 * Double(models * passes) * elements,
            numbers: Double(models * counts + ModelBlock.capacity), factorPasses: 0, valuePasses: passes)
    }
}
