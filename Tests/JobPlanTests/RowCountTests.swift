import Identifiers
import JobPlan
import KroneckerFactors
import LinearAlgebra
import Testing
import UnitOperations

/// Layers with rows and samples of their own, and layers that no row of a task reached.
@Suite struct RowCountTests {
    private static let models = ["a", "b", "c"].map { "- {model: models/\($0), captures: \($0)}" }
    private static let renormalize = "kfac: {missing_curvature: renormalize}"
    private static let everything = "outputs: [factors, regularizer, inverses, merged, report]"

    private func plan(
        _ rest: [String], models: [String] = models, method: String = "kfac", _ change: (inout JobInventory) -> Void
    ) throws -> JobPlan {
        let spec = try JobFileText(method: method, models: models, rest: rest).spec()
        var inventory = SmallModel().inventory(for: spec)
        change(&inventory)
        return try JobPlan(spec: spec, inventory: inventory)
    }

    private func problems(_ rest: [String], models: [String] = models, _ change: (inout JobInventory) -> Void) throws
        -> [String]
    {
        let spec = try JobFileText(models: models, rest: rest).spec()
        var inventory = SmallModel().inventory(for: spec)
        change(&inventory)
        return spec.problems(against: inventory).map(\.description)
    }

    /// Leaves a task without rows of a layer.
    private func empty(_ layer: String, _ tasks: TaskName...) -> (inout JobInventory) -> Void {
        { inventory in
            for task in tasks {
                inventory.captures[task]?.layers[LayerName(rawValue: layer)] = nil
                inventory.captures[task]?.emptyBlocks[layer] = .init()
            }
        }
    }

    /// Seven rows of ten samples, with their sample numbers if asked.
    private func ragged(_ inventory: inout JobInventory, hasNumbers: Bool) {
        let numbers = SampleNumbers(slice: FileSlice(file: 1, offset: 8, byteCount: 28), isWide: false, samples: 10)
        for task in ["a", "b", "c"] as [TaskName] {
            inventory.captures[task]?.layers["fc1"] = CaptureInventory.Layer(
                input: .of("fc1.input", rows: 7, columns: 4, file: 1),
                outputGradient: .of("fc1.output_grad", rows: 14, columns: 3, file: 1), samples: 10, positions: nil,
                rowSamples: hasNumbers ? [numbers] : [])
        }
    }

    // MARK: - Rows

    @Test(arguments: [("tak", [7.0, 14]), ("expand", [7, 20]), ("reduce", [10, 20])])
    func `divisors count the layer's own rows and samples`(word: String, divisors: [Double]) throws {
        let plan = try plan(["kfac: {normalization: \(word)}", "outputs: [factors]"]) { ragged(&$0, hasNumbers: true) }
        let factors = plan.units.compactMap { $0.operation as? FactorOperation }.prefix(2)
        #expect(factors.map(\.divisor) == divisors)
        #expect(factors.map(\.reduction) == [.none, .none])
        #expect(factors.map { $0.sampleReduction?.isMean } == (word == "reduce" ? [true, false] : [nil, nil]))
        #expect(factors.map { $0.sampleReduction?.numbers.count } == (word == "reduce" ? [1, 1] : [nil, nil]))
    }

    @Test func `reduce without the sample of each row is refused, and other normalizations are not`() throws {
        #expect(
            try problems(["kfac: {normalization: reduce, layers: [fc1]}", "outputs: [factors]"]) {
                ragged(&$0, hasNumbers: false)
                $0.captures["b"]?.layers["fc1"]?.rowSamples = [
                    SampleNumbers(slice: FileSlice(file: 1, offset: 8, byteCount: 28), isWide: false, samples: 10)
                ]
                $0.captures["c"]?.layers["fc1"]?.positions = 1
            } == [
                "captures of task \"a\": layer \"fc1\" has 7 rows of 10 samples; \"reduce\" needs the sample of each row. "
                    + "Capture it with \"fc1.row_samples\", or use the normalization \"tak\" or \"expand\"."
            ])
        #expect(try problems(["outputs: [factors]"]) { ragged(&$0, hasNumbers: false) } == [])
    }

    @Test func `a factor of samples with their own lengths is not split`() throws {
        let spec = try JobFileText(
            models: Self.models, rest: ["kfac: {normalization: reduce}", "outputs: [factors]"]
        ).spec()
        var inventory = SmallModel().inventory(for: spec)
        ragged(&inventory, hasNumbers: true)
        let limits = PlanLimits(chunkRows: 2, partMultiplyAdds: 1)
        let plan = try JobPlan(spec: spec, inventory: inventory, limits: limits)
        let parts = plan.units.filter { $0.subject == "fc1.input" }.compactMap { $0.operation as? FactorOperation }
        #expect(parts.map(\.rows) == [7, 7, 7])
        #expect(parts.map(\.chunkRows) == [2, 2, 2])
    }

    @Test func `a task's weight is its own sample count, whatever a layer's`() throws {
        let plan = try plan(["outputs: [regularizer]"]) { inventory in
            inventory.captures["a"]?.layers["fc1"]?.samples = 3
            inventory.captures["b"]?.samples = 40
        }
        #expect((["a", "b", "c"] as [TaskName]).map(plan.curvatureWeight) == [10, 40, 10])
        let sums = plan.units.compactMap { $0.operation as? AccumulateOperation }
        #expect(sums.map(\.weights) == Array(repeating: [10, 40, 10], count: 5))
    }

    // MARK: - No rows

    @Test func `a layer without rows is refused, with the layers and what to write`() throws {
        #expect(
            try problems([]) { inventory in
                empty("fc1", "b")(&inventory)
                empty("fc2", "b")(&inventory)
            } == [
                "job.yaml:5:5: task \"b\" has no rows of 2 of the 3 layers and parameters (\"fc1\", \"fc2\"), so no "
                    + "curvature there. Write \"missing_curvature: renormalize\" under \"kfac\" to spread its share over the "
                    + "other tasks, leave the layers out with \"layers\", or capture more samples."
            ])
    }

    @Test func `a layer that a capture does not state is missing, not empty`() throws {
        #expect(
            try problems([Self.renormalize]) { $0.captures["b"]?.layers["fc1"] = nil } == [
                "captures of task \"b\": the layer \"fc1\", which other tasks have, is missing; every task of a sum needs "
                    + "it. Capture it, or leave it out with \"layers\". Did you mean \"fc2\"?"
            ])
    }

    @Test func `an empty layer of another width is refused`() throws {
        #expect(
            try problems([Self.renormalize]) { inventory in
                empty("fc1", "b")(&inventory)
                inventory.captures["b"]?.emptyBlocks["fc1"] = .init(inputs: 5, outputs: 3)
            } == [
                "captures of task \"b\": \"fc1\" has no rows, and they would have 5 columns; the base's needs 4."
            ])
    }

    @Test func `factors of a layer with 0 rows contradict themselves`() throws {
        let models = ["- {model: models/a, factors: a}", "- {model: models/b, captures: b}"]
        #expect(
            try problems([Self.renormalize], models: models) { $0.factorSets["a"]?.rows = ["fc1": 0] } == [
                "factors of task \"a\": \"fc1\" have factors, but 0 \"rows\" in the file's metadata; expected factors of at "
                    + "least one row. Correct \"rows\", or leave the factors out."
            ])
    }

    @Test func `a task without rows has no part in the layer's sums, merge and interference`() throws {
        let plan = try plan([Self.renormalize, Self.everything, "parameters: {normalize: true}"]) { inventory in
            empty("fc1", "b")(&inventory)
            inventory.captures["a"]?.samples = 30
        }
        let sum = try #require(plan.products["fc1", .accumulation(.input)])
        let operation = try #require(plan.units[sum.unit.position].operation as? AccumulateOperation)
        #expect(operation.weights == [30, 10])
        // Without a: c alone. Without b: both. Without c: a alone.
        #expect(operation.exclusions == [0, nil, 1])
        let merge = try #require(plan.products["fc1", .blockMerge])
        let merged = try #require(plan.units[merge.unit.position].operation as? MergeOperation)
        #expect(merged.tasks.map(\.lambda) == [0.75, 0.25])
        #expect(merged.tasks.map(\.weight) == [1, 1])
        let other = try #require(plan.products["fc2", .blockMerge])
        let whole = try #require(plan.units[other.unit.position].operation as? MergeOperation)
        #expect(whole.tasks.map(\.lambda) == [0.6, 0.2, 0.2])
        #expect(plan.products["fc1", .interference(with: "b")] == nil)
        #expect(plan.products["fc1", .interference(with: "a")] != nil)
        #expect(plan.missingCurvature == ["fc1": ["b"]])
        #expect(
            plan.notices.map(\.description) == [
                "job.yaml:5:5: task \"b\" has no rows of 1 of the 3 layers and parameters (\"fc1\"); its share there is "
                    + "spread over the other tasks."
            ])
    }

    @Test(arguments: ["accumulated", "optimal, rank: 2"])
    func `a target whose other tasks have no rows has no sum of the layer`(form: String) throws {
        let rest = ["kfac: {missing_curvature: renormalize, regularizer: {form: \(form)}}", "outputs: [regularizer]"]
        let plan = try plan(rest, empty("fc1", "b", "c"))
        let block = try #require(plan.blocks.first { $0.name == "fc1" })
        #expect(plan.curvedTasks(in: block) == ["a"])
        #expect(plan.targets(of: block) == [.without("b"), .without("c")])
        #expect(plan.products["fc1", .regularizer(.input, term: 0, of: .without("a"))] == nil)
        #expect(plan.products["fc1", .regularizer(.input, term: 0, of: .without("b"))] != nil)
        #expect(plan.products["fc2", .regularizer(.input, term: 0, of: .without("a"))] != nil)
        #expect(
            plan.notices.last?.description
                == "job.yaml:4:5: only task \"a\" has rows of these layers and parameters: \"fc1\". The regularizer without "
                + "this task leaves them out.")
    }

    @Test(arguments: [[Self.everything], [Self.renormalize, Self.everything]])
    func `a layer without rows in any task has no block, and a notice`(rest: [String]) throws {
        let plan = try plan(rest, empty("fc1", "a", "b", "c"))
        #expect(plan.blocks.map(\.name) == ["fc2", "norm.weight"])
        #expect(plan.missingCurvature.isEmpty)
        #expect(plan.unreached == ["fc1"])
        #expect(
            plan.notices.map(\.description) == [
                "job.yaml: no task has rows of these layers and parameters: \"fc1\". They have no factors, are in no "
                    + "regularizer, and are merged like tensors without factors. Capture more samples if this was not "
                    + "intended, or leave them out with \"layers\"."
            ])
    }

    @Test func `what no task reached is named only if the job selects it`() throws {
        let kfac = "kfac: {layers: [\"*\", \"!fc1\"]}"
        #expect(try plan([kfac, "outputs: [factors]"], empty("fc1", "a", "b", "c")).unreached == [])
        #expect(try plan(["outputs: [factors]"], empty("gone", "a")).unreached == ["gone"])
    }

    @Test func `weights that cancel among the tasks of a layer are refused`() throws {
        let models = zip(["a", "b", "c"], [1, 1, -1]).map {
            "- {model: models/\($0), captures: \($0), parameters: {weight: \($1)}}"
        }
        let spec = try JobFileText(
            method: "kfac", models: models, rest: [Self.renormalize, "parameters: {normalize: true}"]
        ).spec()
        var inventory = SmallModel().inventory(for: spec)
        #expect(spec.problems(against: inventory).isEmpty)
        empty("fc1", "b")(&inventory)
        #expect(
            spec.problems(against: inventory).map(\.description) == [
                "job.yaml: the weights of tensor \"fc1.weight\" sum to zero within 1e-6, so they cannot be divided by their sum. For "
                    + "negation use \"merge_method: task_arithmetic\" without \"normalize\"."
            ])
    }

    @Test func `the counts of a factor set go with its factors`() throws {
        let plan = try plan(
            [Self.renormalize, "outputs: [factors]"],
            models: ["- {name: a, factors: a}", "- {name: b, captures: b}"]
        ) { inventory in
            inventory.factorSets["a"]?.rows = ["fc1": 70, "fc2": 0]
            inventory.factorSets["a"]?.ownSamples = ["fc1": 6]
            for side in [FactorSide.input, .gradient] {
                inventory.factorSets["a"]?.factors[FactorName(owner: "fc2", side: side)] = nil
            }
        }
        let counts = plan.blocks.map { plan.inventory.counts(of: $0, in: "a") }
        #expect(counts.map { $0?.samples } == [6, 0, 10])
        #expect(counts.map { $0?.rows } == [70, 0, nil])
    }
}
