import Identifiers
import JobPlan
import KroneckerFactors
import LinearAlgebra
import Testing
import UnitOperations

/// Jobs checked against the contents of their files: one test for each message, with the whole message.
@Suite struct JobValidationTests {
    private let model = SmallModel()
    private static let twoCaptured = [
        "- {model: models/a, captures: a.safetensors}", "- {model: models/b, captures: b.safetensors}",
    ]

    /// The problems of a job after a test changed its inventory.
    private func problems(
        models: [String] = twoCaptured,
        rest: [String] = [],
        method: String = "task_arithmetic",
        change: (inout JobInventory) -> Void = { _ in }
    ) throws -> [String] {
        let spec = try JobFileText(method: method, models: models, rest: rest).spec()
        var inventory = model.inventory(for: spec)
        change(&inventory)
        return spec.problems(against: inventory).map(\.description)
    }

    @Test func `a job whose files fit has no problems`() throws {
        #expect(try problems() == [])
        #expect(try problems(rest: ["outputs: [factors, regularizer, inverses, merged, report]"], method: "kfac") == [])
        #expect(try problems(models: ["- {name: a, factors: a}", "- {name: b, captures: b}"]) == [])
    }

    // MARK: - Checkpoints

    @Test func `a tensor that a checkpoint lacks is named with what was expected`() throws {
        #expect(
            try problems { $0.checkpoints["a"] = $0.checkpoints["a"]?.without("fc1.bias") } == [
                "models/a: tensor \"fc1.bias\" of the base is missing in the checkpoint of task \"a\"; expected F32 [3]."
            ]
        )
    }

    @Test func `a tensor that the base lacks is named with the nearest one`() throws {
        #expect(
            try problems {
                $0.checkpoints["b"] = $0.checkpoints["b"]?.changing {
                    var tensor = $0
                    if tensor.name == "embed.weight" { tensor.name = "embedd.weight" }
                    return tensor
                }
            } == [
                "models/b: tensor \"embed.weight\" of the base is missing in the checkpoint of task \"b\"; expected "
                    + "F32 [5, 4].",
                "models/b: tensor \"embedd.weight\" of task \"b\" is not in the base models/base. "
                    + "Did you mean \"embed.weight\"?",
            ]
        )
    }

    @Test func `a tensor of another shape is named with both shapes`() throws {
        #expect(
            try problems { $0.checkpoints["a"] = $0.checkpoints["a"]?.with("embed.weight", shape: [4, 5]) } == [
                "models/a: tensor \"embed.weight\" of task \"a\" has the shape [4, 5]; the base has [5, 4]. Merge models "
                    + "of one architecture and size, or write \"mismatched_shapes: base\" to keep the base's."
            ]
        )
    }

    @Test func `a quantised tensor is refused, another float is not`() throws {
        #expect(
            try problems { $0.checkpoints["a"] = $0.checkpoints["a"]?.with("embed.weight", elementType: "I8") } == [
                "models/a: tensor \"embed.weight\" of task \"a\" is I8; the base has F32, and quantised tensors cannot "
                    + "be merged."
            ]
        )
        #expect(
            try problems { $0.checkpoints["a"] = $0.checkpoints["a"]?.with("embed.weight", elementType: "BF16") } == []
        )
    }

    // MARK: - Captures

    @Test func `a captured layer that the base lacks is named with the nearest one`() throws {
        #expect(
            try problems {
                for task: TaskName in ["a", "b"] {
                    let layer = $0.captures[task]?.layers.removeValue(forKey: "fc1")
                    $0.captures[task]?.layers["fcl"] = layer
                }
            } == [
                "models/base: task \"a\" has curvature for the layer \"fcl\", but the base has no tensor "
                    + "\"fcl.weight\". Did you mean \"fc1\"?"
            ]
        )
    }

    @Test func `a captured parameter that the base lacks is named`() throws {
        #expect(
            try problems(models: ["- {name: a, captures: a}"], rest: ["outputs: [factors]"]) {
                let parameter = $0.captures["a"]?.parameters["norm.weight"]
                $0.captures["a"]?.parameters["class_token"] = parameter
            } == [
                "models/base: task \"a\" has curvature for the parameter \"class_token\", which the base does not hold. Use "
                    + "the base that it was made on, \"rename\" it, or leave it out with \"layers\"."
            ]
        )
    }

    @Test func `a layer that only one task captured is missing in the other`() throws {
        #expect(
            try problems { $0.captures["b"]?.layers["fc1"] = nil } == [
                "captures of task \"b\": the layer \"fc1\", which other tasks have, is missing; every task of a sum "
                    + "needs it. Capture it, or leave it out with \"layers\". Did you mean \"fc2\"?"
            ]
        )
    }

    @Test func `a layer that only one task captured may be left out`() throws {
        #expect(
            try problems(rest: ["kfac: {layers: [fc2, norm.weight]}"]) { $0.captures["b"]?.layers["fc1"] = nil } == []
        )
    }

    @Test func `a parameter that only one task captured is missing in the other`() throws {
        #expect(
            try problems { $0.captures["a"]?.parameters = [:] } == [
                "captures of task \"a\": the parameter \"norm.weight\", which other tasks have, is missing; every task "
                    + "of a sum needs it. Capture it, or leave it out with \"layers\"."
            ]
        )
    }

    @Test func `rows of another width than the base's are named with what was expected`() throws {
        #expect(
            try problems {
                $0.captures["a"]?.layers["fc1"]?.input.columns = 5
                $0.captures["a"]?.layers["fc1"]?.outputGradient.columns = 7
                $0.captures["b"]?.parameters["norm.weight"]?.gradient.columns = 8
            } == [
                "captures of task \"a\": tensor \"fc1.input\" has 5 columns; the base's \"fc1.weight\" is [3, 4], so "
                    + "d_in = 4 was expected. Capture the task on this base.",
                "captures of task \"a\": tensor \"fc1.output_grad\" has 7 columns; the base's \"fc1.weight\" is [3, 4], "
                    + "so d_out = 3 was expected. Capture the task on this base.",
                "captures of task \"b\": tensor \"norm.weight.grad\" has 8 columns; the base's \"norm.weight\" has 4 "
                    + "elements. Capture the task on this base.",
            ]
        )
    }

    @Test func `a layer whose weight is no matrix of floats is refused`() throws {
        #expect(
            try problems(models: ["- {name: a, captures: a}"]) {
                $0.base = $0.base.with("fc1.weight", shape: [12])
            } == [
                "models/base: tensor \"fc1.weight\" is F32 [12]; a layer with factors needs a floating-point "
                    + "matrix [d_out, d_in]."
            ]
        )
        #expect(
            try problems(models: ["- {name: a, captures: a}"]) {
                $0.base = $0.base.with("fc1.weight", elementType: "I64").with("norm.weight", elementType: "U8")
            } == [
                "models/base: tensor \"fc1.weight\" is I64 [3, 4]; a layer with factors needs a floating-point matrix "
                    + "[d_out, d_in].",
                "models/base: parameter \"norm.weight\" is U8; a parameter with a full block must be floating-point. "
                    + "Leave it out with \"layers\".",
            ]
        )
    }

    @Test func `a bias that does not belong to its weight is refused`() throws {
        #expect(
            try problems(models: ["- {name: a, captures: a}"]) { $0.base = $0.base.with("fc1.bias", shape: [4]) } == [
                "models/base: tensor \"fc1.bias\" is F32 [4]; the bias of \"fc1.weight\" [3, 4] must be a "
                    + "floating-point vector [3]."
            ]
        )
    }

    @Test func `a parameter with curvature of two kinds is refused`() throws {
        #expect(
            try problems(models: ["- {name: a, captures: a}"]) {
                $0.captures["a"]?.parameters["fc1.bias"] = CaptureInventory.Parameter(
                    gradient: .of("fc1.bias.grad", rows: 20, columns: 3, file: 1),
                    samples: 10
                )
            } == [
                "models/base: parameter \"fc1.bias\" has curvature twice, in \"fc1\" and in \"fc1.bias\". "
                    + "Leave one of them out with \"layers\"."
            ]
        )
    }

    @Test func `curvature of no samples is refused`() throws {
        #expect(
            try problems(models: ["- {name: a, factors: a}"]) { $0.factorSets["a"]?.samples = 0 } == [
                "job.yaml:4:5: the curvature of task \"a\" has no samples; expected at least one."
            ]
        )
    }

    @Test func `a pattern that matches nothing is located`() throws {
        #expect(
            try problems(rest: ["kfac: {layers: ['fc*', 'fcl', 'blocks.*']}"]) == [
                "job.yaml:6:24: the pattern \"fcl\" of \"layers\" matches none of the 3 captured layers and parameters. "
                    + "Did you mean \"fc1\"?",
                "job.yaml:6:31: the pattern \"blocks.*\" of \"layers\" matches none of the 3 captured layers and "
                    + "parameters.",
            ]
        )
    }

    @Test func `patterns leave layers out, and must leave some`() throws {
        #expect(try problems(rest: ["kfac: {layers: ['!fc2']}"], method: "kfac") == [])
        #expect(
            try problems(rest: ["kfac: {layers: ['fc*', '!fc?']}"]) == [
                "job.yaml:6:17: \"layers\" leaves out all 3 captured layers and parameters; expected at least one. Narrow the "
                    + "patterns."
            ])
    }

    // MARK: - Factor sets

    private static let factorsAndCaptures = ["- {name: a, captures: a}", "- {name: b, factors: sets/b}"]

    @Test func `a factor of another dimension is named with what was expected`() throws {
        #expect(
            try problems(models: Self.factorsAndCaptures) {
                $0.factorSets["b"]?.factors[FactorName(owner: "fc1", side: .input)]?.shape = .full(4)
            } == [
                "factors of task \"b\" (sets/b): the factor \"fc1.A\" is [4, 4]; the base's layer needs [5, 5]. Use "
                    + "what was made on this base."
            ]
        )
    }

    @Test func `a factor that only other tasks have is missing`() throws {
        #expect(
            try problems(models: Self.factorsAndCaptures) {
                $0.factorSets["b"]?.factors[FactorName(owner: "norm.weight", side: .full)] = nil
            } == [
                "factors of task \"b\" (sets/b): the factor \"norm.weight.F\", which other tasks have, is missing. Make it too, "
                    + "or leave the layer out with \"layers\"."
            ]
        )
    }

    @Test func `factors of another normalization are refused with both names`() throws {
        #expect(
            try problems(models: Self.factorsAndCaptures) {
                $0.factorSets["b"] = model.factorSet(normalization: .expand, file: 2)
            }
                == [
                    "factors of task \"b\" (sets/b): the factors are normalised by \"expand\", the job by \"tak\"; such "
                        + "factors cannot be summed. Set \"normalization\", or make the factors again."
                ]
        )
    }

    // MARK: - What was asked for

    /// As in mergekit, the divisor is then 1.
    @Test func `task arithmetic does not divide by weights that cancel, and says so`() throws {
        let models = ["- {model: a, parameters: {weight: 1}}", "- {model: b, parameters: {weight: -1}}"]
        let spec = try JobFileText(models: models, rest: ["parameters: {normalize: true}"]).spec()
        let inventory = model.inventory(for: spec)
        #expect(spec.problems(against: inventory) == [])
        #expect(
            spec.allNotices(against: inventory).map(\.description) == [
                "job.yaml: the weights of tensor \"embed.weight\" sum to zero, so they are not divided by their sum, as "
                    + "in mergekit."
            ])
    }

    @Test(arguments: ["task_arithmetic", "weighted_average"])
    func `a list of the base alone is refused`(method: String) throws {
        #expect(
            try problems(models: ["- model: models/base"], method: method) == [
                "job.yaml:4:5: \"models\" lists only the base; expected at least one task."
            ])
    }

    @Test func `outputs of curvature need curvature`() throws {
        #expect(
            try problems(models: ["- model: a", "- model: b"], rest: ["outputs: [inverses, regularizer, factors]"]) == [
                "job.yaml: the output \"factors\" needs curvature, but no task has \"captures\" or \"factors\".",
                "job.yaml: the output \"regularizer\" needs curvature, but no task has \"captures\" or \"factors\".",
                "job.yaml: the output \"inverses\" needs curvature, but no task has \"captures\" or \"factors\".",
            ]
        )
    }

    @Test func `a merge needs a checkpoint`() throws {
        #expect(
            try problems(models: ["- {name: a, captures: a}"], rest: ["outputs: [merged]"]) == [
                "job.yaml: the output \"merged\" needs a task with a \"model\"."
            ]
        )
    }

    @Test func `kfac needs the factors of every merged task`() throws {
        #expect(
            try problems(models: ["- {model: a, captures: a}", "- model: b"], method: "kfac") == [
                "job.yaml:5:5: the merge method \"kfac\" needs the factors of every merged task, but task \"b\" has "
                    + "neither \"captures\" nor \"factors\"."
            ]
        )
    }

    @Test func `kfac without a merge needs nothing`() throws {
        #expect(
            try problems(
                models: ["- {model: a, captures: a}", "- model: b"],
                rest: ["outputs: [factors]"],
                method: "kfac"
            ) == []
        )
    }

    @Test func `inverses need an accumulated regularizer`() throws {
        #expect(
            try problems(rest: ["kfac: {regularizer: {form: per_task}}", "outputs: [inverses]"]) == [
                "job.yaml: the output \"inverses\" needs an accumulated regularizer; the form is \"per_task\". "
                    + "Drop the output or choose the form \"accumulated\"."
            ]
        )
    }

    @Test func `inverses need a regularizer of one product`() throws {
        let outputs = "outputs: [inverses]"
        #expect(try problems(rest: ["kfac: {regularizer: {form: optimal}}", outputs]) == [])
        #expect(
            try problems(rest: ["kfac: {regularizer: {form: optimal, rank: 2, targets: all}}", outputs]) == [
                "job.yaml:6:43: the output \"inverses\" needs a regularizer of one Kronecker product a layer; the rank "
                    + "is 2. Drop the output or write \"rank: 1\"."
            ]
        )
    }

    @Test func `a rank is at most the number of summed tasks`() throws {
        func problems(_ targets: String, rank: Int, models: [String] = JobValidationTests.twoCaptured) throws
            -> [String]
        {
            let key = "kfac: {regularizer: {form: optimal, rank: \(rank), targets: \(targets)}}"
            return try self.problems(models: models, rest: [key, "outputs: [regularizer]"])
        }
        #expect(try problems("all", rank: 2) == [])
        #expect(try problems("leave_one_out", rank: 1) == [])
        let uncaptured = Self.twoCaptured + ["- model: models/c"]
        #expect(try problems("[c]", rank: 2, models: uncaptured) == [])
        #expect(
            try problems("all", rank: 3) == [
                "job.yaml:6:43: the rank is 3, but the regularizer sums 2 tasks; expected at most 2, where nothing is "
                    + "left to approximate. Lower it, or write \"form: per_task\"."
            ]
        )
        let message =
            "6:43: the rank is 2, but the regularizer sums 1 task; expected at most 1, where nothing is left to "
            + "approximate. Lower it, or write \"form: per_task\"."
        for targets in ["leave_one_out", "[a]", "[b, a]"] {
            #expect(try problems(targets, rank: 2) == ["job.yaml:\(message)"])
        }
    }

    @Test func `leaving one out needs two tasks`() throws {
        let message =
            "job.yaml: leaving one task out needs at least two tasks with curvature; there is 1. "
            + "Add tasks, or write \"targets: all\"."
        #expect(try problems(models: ["- {name: a, captures: a}"], rest: ["outputs: [regularizer]"]) == [message])
        #expect(
            try problems(
                models: ["- {name: a, captures: a}"],
                rest: ["kfac: {regularizer: {targets: [a]}}", "outputs: [regularizer]"]
            ) == [message]
        )
        #expect(
            try problems(
                models: ["- {name: a, captures: a}"],
                rest: ["kfac: {regularizer: {targets: all}}", "outputs: [regularizer]"]
            ) == []
        )
    }

    @Test func `a target that is no task is located`() throws {
        #expect(
            try problems(rest: ["kfac: {regularizer: {targets: [a, c]}}"]) == [
                "job.yaml:6:35: no task is named \"c\". Did you mean \"a\"?"
            ]
        )
        #expect(
            try problems(rest: ["kfac: {regularizer: {targets: [satellite]}}"]) == [
                "job.yaml:6:32: no task is named \"satellite\"."
            ]
        )
    }

    @Test func `weights that cancel cannot be divided by their sum`() throws {
        let models = ["- {model: a, parameters: {weight: 1}}", "- {model: b, parameters: {weight: -1}}"]
        let message =
            "job.yaml: the weights of tensor \"embed.weight\" sum to zero within 1e-6, so they cannot be divided by their sum. "
            + "For negation use \"merge_method: task_arithmetic\" without \"normalize\"."
        #expect(try problems(models: models, method: "linear") == [message])
        #expect(try problems(models: models, method: "weighted_average") == [message])
        #expect(try problems(models: models, method: "multislerp") == [message])
        let unnormalized = ["parameters: {normalize_weights: false}"]
        #expect(try problems(models: models, rest: unnormalized, method: "multislerp") == [])
        #expect(try problems(models: models) == [])
        #expect(try problems(models: models, rest: ["outputs: [report]"], method: "linear") == [])
    }

    @Test func `weights that cancel in one tensor alone are found`() throws {
        let models = ["- model: a", "- {model: b, parameters: {weight: [{filter: fc2, value: -1}]}}"]
        #expect(
            try problems(models: models, method: "linear") == [
                "job.yaml: the weights of tensor \"fc2.weight\" sum to zero within 1e-6, so they cannot be divided by their sum. "
                    + "For negation use \"merge_method: task_arithmetic\" without \"normalize\"."
            ]
        )
    }

    @Test func `all problems are reported together, and planning throws them`() throws {
        let spec = try JobFileText(
            models: Self.twoCaptured,
            rest: ["kfac: {layers: ['*', nothing]}", "outputs: [merged]"]
        ).spec()
        var inventory = model.inventory(for: spec)
        inventory.checkpoints["a"] = inventory.checkpoints["a"]?.without("fc1.bias").with("fc1.weight", shape: [1])
        inventory.captures["b"]?.layers["fc2"] = nil
        let found = spec.problems(against: inventory)
        #expect(
            found.map(\.location) == ["job.yaml:6:22", "models/a", "models/a", "captures of task \"b\""]
        )
        #expect(throws: JobRefusal(problems: found)) { try JobPlan(spec: spec, inventory: inventory) }
    }

    @Test func `a refusal prints a line a problem`() {
        let refusal = JobRefusal(problems: [JobProblem(at: "a", "b."), JobProblem(at: "c", "d.")])
        #expect(refusal.description == "a: b.\nc: d.")
    }
}
