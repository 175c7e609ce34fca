import Identifiers
import JobPlan
import KroneckerFactors
import LinearAlgebra
import Testing
import UnitOperations

extension JobPlan {
    /// One line for each unit: its position, its title, and its dependencies.
    var lines: [String] {
        units.map { unit in
            let place = unit.isForWorker ? "worker" : "coordinator"
            let dependencies = unit.dependencies.map { " \($0)" }.joined()
            return "\(unit.index) \(place): \(unit.title)" + (dependencies.isEmpty ? "" : " <-\(dependencies)")
        }
    }

    /// The plan of a job over a small model.
    static func small(
        _ text: JobFileText,
        model: SmallModel = SmallModel(),
        limits: PlanLimits = PlanLimits(),
        change: (inout JobInventory) -> Void = { _ in }
    ) throws -> JobPlan {
        let spec = try text.spec()
        var inventory = model.inventory(for: spec)
        change(&inventory)
        return try JobPlan(spec: spec, inventory: inventory, limits: limits)
    }
}

@Suite struct PlanningTests {
    private static let oneLayer: SmallModel = {
        var model = SmallModel()
        model.layers = [SmallModel.Layer(name: "fc")]
        model.parameters = []
        return model
    }()

    private let twoTasks = [
        "- {model: models/a, captures: a.safetensors}", "- {model: models/b, captures: b.safetensors}",
    ]

    // MARK: - Whole plans

    @Test func `factors of one task are two units a layer and one a parameter, then the file`() throws {
        let plan = try JobPlan.small(
            JobFileText(models: ["- {name: a, captures: a}"], rest: ["outputs: [factors]"])
        )
        #expect(
            plan.lines == [
                "0 worker: factor \"fc1.A\" of task \"a\"", "1 worker: factor \"fc1.B\" of task \"a\"",
                "2 worker: factor \"fc2.A\" of task \"a\"", "3 worker: factor \"fc2.B\" of task \"a\"",
                "4 worker: factor \"norm.weight.F\" of task \"a\"",
                "5 coordinator: factor file of task \"a\" <- 0 1 2 3 4",
                "6 coordinator: publication of the outputs <- 0 1 2 3 4 5",
            ]
        )
        #expect(plan.blocks.map(\.name) == ["fc1", "fc2", "norm.weight"])
        #expect(
            plan.products["fc2", .factor(.gradient, of: "a")] == UnitOutput(UnitIndex(3))
        )
    }

    @Test func `a whole job of one layer is planned stage by stage`() throws {
        let plan = try JobPlan.small(
            JobFileText(
                method: "kfac",
                models: twoTasks,
                rest: ["outputs: [factors, regularizer, inverses, merged, report]"]
            ),
            model: Self.oneLayer
        )
        #expect(
            plan.lines == [
                "0 worker: factor \"fc.A\" of task \"a\"", "1 worker: factor \"fc.B\" of task \"a\"",
                "2 worker: factor \"fc.A\" of task \"b\"", "3 worker: factor \"fc.B\" of task \"b\"",
                "4 worker: sums of factor \"fc.A\" over 2 tasks <- 0 2",
                "5 worker: sums of factor \"fc.B\" over 2 tasks <- 1 3",
                "6 worker: inverse of \"fc.A\" for target \"a\" <- 4",
                "7 worker: inverse of \"fc.B\" for target \"a\" <- 5",
                "8 worker: inverse of \"fc.A\" for target \"b\" <- 4",
                "9 worker: inverse of \"fc.B\" for target \"b\" <- 5",
                "10 worker: interference with task \"a\" in \"fc\" <- 0 1",
                "11 worker: interference with task \"b\" in \"fc\" <- 2 3",
                "12 worker: penalty of task \"a\" in \"fc\" <- 4 5",
                "13 worker: penalty of task \"b\" in \"fc\" <- 4 5",
                "14 coordinator: factor file of task \"a\" <- 0 1", "15 coordinator: factor file of task \"b\" <- 2 3",
                "16 coordinator: regularizer file of target \"a\" <- 4 5",
                "17 coordinator: inverses file of target \"a\" <- 6 7",
                "18 coordinator: regularizer file of target \"b\" <- 4 5",
                "19 coordinator: inverses file of target \"b\" <- 8 9", "20 worker: merge of \"fc\" <- 0 1 2 3",
                "21 coordinator: merged checkpoint <- 20", "22 worker: norms in \"embed.weight\" without curvature",
                "23 coordinator: digests of the inputs",
                "24 coordinator: report <-" + (0..<24).map { " \($0)" }.joined(),
                "25 coordinator: publication of the outputs <-" + (0..<25).map { " \($0)" }.joined(),
            ]
        )
        #expect(plan.targets == [.without("a"), .without("b")])
        #expect(plan.products["fc", .accumulation(.gradient)]?.unit == UnitIndex(5))
        #expect(plan.products["fc", .inverse(.input, of: .without("b"))]?.unit == UnitIndex(8))
        #expect(plan.products["fc", .interference(with: "b")]?.unit == UnitIndex(11))
        #expect(plan.products["fc", .penalty(of: "a", term: 0)]?.unit == UnitIndex(12))
        #expect(plan.products["fc", .blockMerge]?.unit == UnitIndex(20))
        #expect(plan.spec.curvedTasks.map(\.name) == ["a", "b"])
        #expect(plan.spec.mergedTasks.map(\.name) == ["a", "b"])
    }

    @Test func `a mergekit job needs no worker`() throws {
        let plan = try JobPlan.small(JobFileText(rest: ["kfac: {input_digests: header}"]))
        #expect(
            plan.lines == [
                "0 coordinator: merged checkpoint", "1 coordinator: report <- 0",
                "2 coordinator: publication of the outputs <- 0 1",
            ]
        )
        #expect(plan.largestWorkerUnit == nil)
        #expect(plan.blocks.isEmpty)
    }

    @Test func `curvature that nothing asks for is not computed`() throws {
        let plan = try JobPlan.small(
            JobFileText(models: twoTasks, rest: ["kfac: {interference: false}", "outputs: [merged]"])
        )
        #expect(plan.units.allSatisfy { !$0.isForWorker })
    }

    @Test func `penalties know the models that a block gives no weight`() throws {
        func unweighted(_ weight: String, _ block: String) throws -> [[Int]] {
            let plan = try JobPlan.small(
                JobFileText(
                    models: [
                        "- {model: models/a, captures: a, parameters: {weight: \(weight)}}",
                        "- {model: models/b, captures: b}",
                    ], rest: ["outputs: [regularizer, report]"]))
            return plan.units.compactMap { unit in
                guard let penalty = unit.operation as? PenaltyOperation, unit.subject == block else { return nil }
                return penalty.unweighted
            }
        }
        // The interference with both tasks comes first, then the penalty of each.
        #expect(try unweighted("0", "fc1") == [[0], [0], [0], []])
        #expect(try unweighted("1", "fc1") == [[], [], [], []])
        let filtered = "[{filter: fc2, value: 0}, {value: 1}]"
        #expect(try unweighted(filtered, "fc1") == [[], [], [], []])
        #expect(try unweighted(filtered, "fc2") == [[0], [0], [0], []])
        // A layer's weight and bias are one matrix, so both must have weight 0.
        #expect(try unweighted("[{filter: fc1.bias, value: 0}, {value: 1}]", "fc1") == [[], [], [], []])
    }

    @Test func `a report alone measures interference and the error of the accumulation`() throws {
        let plan = try JobPlan.small(JobFileText(models: twoTasks, rest: ["outputs: [report]"]), model: Self.oneLayer)
        #expect(plan.targets == [])
        for task: TaskName in ["a", "b"] {
            #expect(plan.products.outputs(for: .interference(with: task)).map(\.subject) == ["fc"])
            #expect(plan.products.outputs(for: .penalty(of: task, term: 0)).isEmpty)
        }
        // The norms are those of all merged tensors without curvature.
        let norms = plan.products.outputs(for: .norms)
        #expect(norms.map(\.subject) == ["embed.weight"])
        let measured = try #require(plan.units[norms[0].output.unit.position].operation as? NormOperation)
        #expect(measured.base.map(\.byteCount) == [80] && measured.checkpoints.count == 2)
        let accumulation = try #require(plan.products["fc", .accumulation(.input)])
        let unit = plan.units[accumulation.unit.position]
        let operation = try #require(unit.operation as? AccumulateOperation)
        #expect(operation.exclusions == [])
        #expect(unit.inputs == [UnitOutput(UnitIndex(0)), UnitOutput(UnitIndex(2))])
    }

    @Test func `the per-task form sums nothing for its targets`() throws {
        let plan = try JobPlan.small(
            JobFileText(
                models: ["- {name: a, captures: a}", "- {name: b, captures: b}"],
                rest: ["kfac: {regularizer: {form: per_task}}", "outputs: [regularizer]"]
            ),
            model: Self.oneLayer
        )
        #expect(
            plan.lines.dropFirst(4) == [
                "4 coordinator: regularizer file of target \"a\" <- 2 3",
                "5 coordinator: regularizer file of target \"b\" <- 0 1",
                "6 coordinator: publication of the outputs <- 0 1 2 3 4 5",
            ]
        )
        #expect(plan.products.outputs(for: .accumulation(.input)).isEmpty)
    }

    @Test func `the optimal form sums both sides of a layer at once, and full blocks as ever`() throws {
        var model = Self.oneLayer
        model.parameters = [(name: "norm", count: 4)]
        let plan = try JobPlan.small(
            JobFileText(
                models: ["- {model: a, captures: a}", "- {name: b, captures: b}", "- {name: c, captures: c}"],
                rest: [
                    "kfac: {regularizer: {form: optimal, rank: 2, targets: [a, b]}}", "outputs: [regularizer, report]",
                ]
            ),
            model: model
        )
        #expect(
            plan.lines.dropFirst(9).prefix(4) == [
                "9 worker: inner products of factor \"fc.A\" over 3 tasks <- 0 3 6",
                "10 worker: inner products of factor \"fc.B\" over 3 tasks <- 1 4 7",
                "11 worker: optimal sums of \"fc\" over 3 tasks <- 9 10 0 3 6 1 4 7",
                "12 worker: sums of factor \"norm.F\" over 3 tasks <- 2 5 8",
            ]
        )
        // One penalty for each Kronecker product, and only of task "a", which alone has a checkpoint.
        #expect(
            plan.lines.filter { $0.contains("penalty") } == [
                "16 worker: penalty of task \"a\" in \"fc\" <- 11",
                "17 worker: penalty of task \"a\" in \"fc\", Kronecker product 2 <- 11",
                "21 worker: penalty of task \"a\" in \"norm\" <- 12",
            ]
        )
        #expect(plan.lines.contains("22 coordinator: regularizer file of target \"a\" <- 11 12"))
        #expect(plan.products.outputs(for: .optimalAccumulation).map(\.subject) == ["fc"])
        #expect(plan.products["fc", .optimalAccumulation]?.unit == UnitIndex(11))
        let penalties = [0, 1].map { term in
            ["fc", "norm"].map { plan.products[$0, .penalty(of: "a", term: term)]?.unit.position }
        }
        #expect(penalties == [[16, 21], [17, nil]])
        let sums = UnitIndex(11)
        for (target, first) in [("a", 0), ("b", 2)] as [(TaskName, Int)] {
            for term in 0..<2 {
                func output(_ block: String, _ side: FactorSide) -> UnitOutput? {
                    plan.products[block, .regularizer(side, term: term, of: .without(target))]
                }
                #expect(output("fc", .input) == UnitOutput(sums, first + term))
                #expect(output("fc", .gradient) == UnitOutput(sums, 4 + first + term))
                #expect(output("norm", .full) == (term == 0 ? UnitOutput(UnitIndex(12), first / 2) : nil))
            }
        }
    }

    @Test func `an optimal product can be inverted`() throws {
        let plan = try JobPlan.small(
            JobFileText(
                models: twoTasks, rest: ["kfac: {regularizer: {form: optimal, targets: all}}", "outputs: [inverses]"]),
            model: Self.oneLayer
        )
        #expect(
            plan.lines.dropFirst(6).prefix(3) == [
                "6 worker: optimal sums of \"fc\" over 2 tasks <- 4 5 0 2 1 3",
                "7 worker: inverse of \"fc.A\" for target \"all\" <- 6",
                "8 worker: inverse of \"fc.B\" for target \"all\" <- 6",
            ]
        )
    }

    @Test func `finished factors are imported where they are used`() throws {
        let plan = try JobPlan.small(
            JobFileText(
                models: ["- {name: a, captures: a}", "- {name: b, factors: b}"],
                rest: ["kfac: {regularizer: {targets: all}}"]
            ),
            model: Self.oneLayer
        )
        #expect(
            plan.lines.prefix(7) == [
                "0 worker: factor \"fc.A\" of task \"a\"", "1 worker: factor \"fc.B\" of task \"a\"",
                "2 worker: import of factor \"fc.A\" of task \"b\"",
                "3 worker: import of factor \"fc.B\" of task \"b\"",
                "4 worker: sums of factor \"fc.A\" over 2 tasks <- 0 2",
                "5 worker: sums of factor \"fc.B\" over 2 tasks <- 1 3",
                "6 coordinator: regularizer file of target \"all\" <- 4 5",
            ]
        )
        #expect(plan.targets == [.all])
    }

    @Test func `targets that are named are planned in the order of their naming`() throws {
        let plan = try JobPlan.small(
            JobFileText(
                models: ["- {name: a, captures: a}", "- {name: b, captures: b}", "- {name: c, captures: c}"],
                rest: ["kfac: {regularizer: {targets: [c, a]}}"]
            )
        )
        #expect(plan.targets == [.without("c"), .without("a")])
        #expect(
            plan.targets.map { target in ["a", "b", "c"].filter { target.includes($0) } } == [["a", "b"], ["b", "c"]]
        )
    }

    // MARK: - What every plan must be

    @Test(arguments: [
        ["outputs: [factors, regularizer, inverses, merged, report]"], [], ["outputs: [report]"],
        ["outputs: [inverses]", "kfac: {regularizer: {targets: all}}"],
    ])
    func `units stand at their index, and behind what they depend on`(rest: [String]) throws {
        let plan = try JobPlan.small(JobFileText(method: "kfac", models: twoTasks, rest: rest))
        for (position, unit) in plan.units.enumerated() {
            #expect(unit.index.position == position)
            #expect(unit.dependencies.allSatisfy { $0 < unit.index })
            #expect(Set(unit.dependencies).count == unit.dependencies.count, "\(unit.title)")
        }
        let last = try #require(plan.units.last)
        #expect(last.work == .coordinator(.publish))
        #expect(last.dependencies == plan.units.dropLast().map(\.index))
    }

    /// After a restart another process plans again, and its dictionaries have another order.
    @Test func `a plan does not depend on the order of a dictionary`() throws {
        let text = JobFileText(
            method: "kfac",
            models: twoTasks,
            rest: ["outputs: [factors, regularizer, inverses, merged, report]"]
        )
        var model = SmallModel()
        model.layers = (0..<40).map { SmallModel.Layer(name: "blocks.\($0).fc") }
        model.parameters = (0..<20).map { ("blocks.\($0).norm", 4) }
        let first = try JobPlan.small(text, model: model)
        model.layers.reverse()
        model.parameters.reverse()
        let second = try JobPlan.small(text, model: model) { inventory in
            inventory.base = first.inventory.base
            inventory.checkpoints = reordered(first.inventory.checkpoints)
            inventory.captures = reordered(inventory.captures)
            for (task, captures) in inventory.captures {
                inventory.captures[task]?.layers = reordered(captures.layers)
            }
        }
        #expect(first == second)
        #expect(first.blocks.map(\.name) == first.blocks.map(\.name).sorted())
    }

    /// An equal dictionary with more buckets, and so perhaps another order.
    private func reordered<Key, Value>(_ dictionary: [Key: Value]) -> [Key: Value] {
        var copy: [Key: Value] = [:]
        copy.reserveCapacity(dictionary.count * 16 + 64)
        for (key, value) in dictionary.reversed() { copy[key] = value }
        return copy
    }

    // MARK: - Shared inputs

    @Test func `layers that read the same rows share their A`() throws {
        var model = SmallModel()
        model.layers = ["k", "q", "v"].map { SmallModel.Layer(name: $0) }
        model.parameters = []
        let plan = try JobPlan.small(
            JobFileText(models: ["- {name: a, captures: a}"], rest: ["outputs: [factors]"]),
            model: model
        ) {
            $0.captures["a"]?.layers["q"]?.sharedInput = "k"
            $0.captures["a"]?.layers["v"]?.sharedInput = "k"
        }
        #expect(
            plan.lines.prefix(5) == [
                "0 worker: factor \"k.A\" of task \"a\"", "1 worker: factor \"k.B\" of task \"a\"",
                "2 worker: factor \"q.B\" of task \"a\"", "3 worker: factor \"v.B\" of task \"a\"",
                "4 coordinator: factor file of task \"a\" <- 0 1 2 3",
            ]
        )
        #expect(
            ["k", "q", "v"].map { plan.products[$0, .factor(.input, of: "a")]?.unit }
                == Array(
                    repeating: UnitIndex(0),
                    count: 3
                )
        )
    }

    @Test func `a layer without bias does not share the A of a layer with one`() throws {
        var model = SmallModel()
        model.layers = [SmallModel.Layer(name: "k"), SmallModel.Layer(name: "q", hasBias: false)]
        model.parameters = []
        let plan = try JobPlan.small(
            JobFileText(models: ["- {name: a, captures: a}"], rest: ["outputs: [factors]"]),
            model: model
        ) { $0.captures["a"]?.layers["q"]?.sharedInput = "k" }
        #expect(plan.lines.filter { $0.contains(".A\"") }.count == 2)
    }

    @Test func `a shared input whose layer is not selected is computed all the same`() throws {
        var model = SmallModel()
        model.layers = ["k", "q"].map { SmallModel.Layer(name: $0) }
        model.parameters = []
        let plan = try JobPlan.small(
            JobFileText(models: ["- {name: a, captures: a}"], rest: ["kfac: {layers: q}", "outputs: [factors]"]),
            model: model
        ) { $0.captures["a"]?.layers["q"]?.sharedInput = "k" }
        #expect(plan.lines.first == "0 worker: factor \"q.A\" of task \"a\"")
    }

    // MARK: - Weights

    @Test func `weights of the sums are the sample counts unless given`() throws {
        let plan = try JobPlan.small(
            JobFileText(
                models: ["- {name: a, captures: a}", "- {name: b, captures: b, curvature_weight: 7}"],
                rest: ["outputs: [regularizer]"]
            )
        ) { $0.captures["b"] = SmallModel(samples: 30).captures(file: 2) }
        #expect(plan.curvatureWeight(of: "a") == 10)
        #expect(plan.curvatureWeight(of: "b") == 7)
        #expect(plan.inventory.samples(of: "b") == 30)
        let sums = plan.units.compactMap { ($0.operation as? AccumulateOperation)?.weights }
        #expect(sums == Array(repeating: [10, 7], count: 5))
    }

    @Test func `the kfac merge takes weights, shares and output types from the job`() throws {
        let plan = try JobPlan.small(
            JobFileText(
                method: "kfac",
                models: [
                    "- {model: a, captures: a, parameters: {weight: -1}}",
                    "- {model: b, captures: b, curvature_weight: 30}",
                ],
                rest: ["parameters: {lambda: 0.5}", "dtype: bfloat16", "kfac: {damping: {rule: absolute, value: 2}}"]
            ),
            model: Self.oneLayer
        )
        let unit = try #require(plan.products["fc", .blockMerge]?.unit)
        let merge = try #require(plan.units[unit.position].operation as? MergeOperation)
        #expect(merge.tasks.map(\.weight) == [-1, 1])
        #expect(merge.tasks.map(\.lambda) == [0.25, 0.75])
        #expect(merge.scale == 0.5)
        #expect(merge.outputTypes == [.bf16, .bf16])
        #expect(merge.damping == DampingSpec(rule: .absolute, value: 2))
        #expect(merge.base.count == 2)
    }
}
