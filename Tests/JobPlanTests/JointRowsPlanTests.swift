import Identifiers
import KroneckerFactors
import LinearAlgebra
import Testing
import UnitOperations

@testable import JobPlan

/// The form `pseudo_rows` of `kfac.regularizer`: its settings, its captures, its units.
@Suite struct JointRowsPlanTests {
    private static let models = ["- {name: a, captures: a}", "- {name: b, captures: b}"]

    private func job(_ regularizer: String, _ others: String = "", models: [String] = models) -> JobFileText {
        JobFileText(
            models: models,
            rest: [
                "kfac: {normalization: expand, \(others)regularizer: {form: pseudo_rows\(regularizer)}}",
                "outputs: [regularizer]",
            ])
    }

    private func problems(
        _ text: JobFileText, _ change: (inout JobInventory) -> Void = { _ in }
    ) throws -> [String] {
        let spec = try text.spec()
        var model = SmallModel()
        model.positions = 3
        var inventory = model.inventory(for: spec)
        change(&inventory)
        return spec.problems(against: inventory).map(\.description)
    }

    // MARK: - Settings

    @Test func `ranks and floor have defaults, and full blocks are summed`() throws {
        let regularizer = try job("").spec().curvature.regularizer
        #expect(regularizer.jointRows.inputRank == 32 && regularizer.jointRows.gradientRank == 128)
        #expect(regularizer.jointRows.floor == .complement && regularizer.oneDimensional == .sum)
        #expect(regularizer.termCount == 1)
        let given = try job(", ranks: {inputs: 4, gradients: 9}, floor: 0.25").spec().curvature.regularizer
        #expect(given.jointRows.inputRank == 4 && given.jointRows.gradientRank == 9)
        #expect(given.jointRows.floor == .factors(0.25) && given.jointRows.floor.text == "0.25")
        let bare = try job(", ranks: {gradients: 9}, floor: none").spec().curvature.regularizer
        #expect(bare.jointRows.inputRank == 32 && bare.jointRows.floor == .none && bare.termCount == 0)
    }

    @Test(arguments: [
        ("{form: pseudo_rows, floor: 0}", "48: \"floor\" must be complement, none, or a number above 0."),
        ("{form: pseudo_rows, floor: full}", "48: \"floor\" must be complement, none, or a number above 0."),
        (
            "{form: pseudo_rows, one_dimensional: mean}",
            "58: the form \"pseudo_rows\" sums full blocks as its rows do, so \"one_dimensional\" is \"sum\". Remove it, or "
                + "write \"sum\"."
        ),
        (
            "{form: pseudo_rows, ranks: {input: 3}}",
            "49: unknown key \"input\" in \"ranks\". Did you mean \"inputs\"? Known keys: inputs, gradients."
        ),
        (
            "{form: pseudo_rows, ranks: {inputs: 9000}}",
            "57: \"inputs\" is 9000; expected at most 8192 pseudo-rows."
        ),
        (
            "{form: optimal, ranks: {inputs: 3}}",
            "44: \"ranks\" belongs to the form \"pseudo_rows\"; the form is \"optimal\". Remove \"ranks\", or write \"form: "
                + "pseudo_rows\"."
        ),
        (
            "{floor: none}",
            "29: \"floor\" belongs to the form \"pseudo_rows\"; the form is \"accumulated\". Remove \"floor\", or write "
                + "\"form: pseudo_rows\"."
        ),
    ])
    func `a key with a wrong value, or of another form, is refused`(written: String, problem: String) {
        let found = JobPlanTests.problems(in: JobFileText(rest: ["kfac: {regularizer: \(written)}"]).yaml)
        #expect(found.map { String($0.drop { $0 != "6" }.dropFirst(2)) } == [problem], "\(found)")
    }

    @Test func `settings that the form does not go with are refused by name`() throws {
        let text = JobFileText(
            models: Self.models,
            rest: [
                "kfac: {compression: {form: bf16}, groups: [{layers: fc1, strength: 2}], regularizer: {form: pseudo_rows, "
                    + "balance: trace}}", "outputs: [regularizer, inverses]",
            ])
        #expect(
            try problems(text).sorted() == [
                "job.yaml: the form \"pseudo_rows\" has products of different layers, to which no group's strength belongs. "
                    + "Remove \"groups\".",
                "job.yaml: the form \"pseudo_rows\" keeps what layers share, so \"balance: trace\" would scale the floor away "
                    + "from its rows. Remove \"balance\".",
                "job.yaml: the form \"pseudo_rows\" needs the normalization \"expand\", whose B has no other scale than the "
                    + "rows; it is \"tak\". Write \"normalization: expand\" under \"kfac\".",
                "job.yaml: the form \"pseudo_rows\" subtracts what the rows hold from exact factors, so \"compression: bf16\" "
                    + "could make it negative. Remove \"compression\".",
                "job.yaml: the output \"inverses\" needs an accumulated regularizer; the form is \"pseudo_rows\". Drop the "
                    + "output or choose the form \"accumulated\".",
            ])
    }

    @Test(arguments: ["kfac", "kfac_exact"])
    func `a notice says what does not use the joint rows`(method: String) throws {
        let merge =
            "job.yaml: \"\(method)\" merges with the accumulated factors, with F summed, and not with the joint rows of the "
            + "form \"pseudo_rows\"."
            + (method == "kfac_exact" ? " \"curvature: joint_rows\" under \"parameters\" takes these." : "")
        func notices(_ form: String, _ outputs: String) throws -> [String] {
            let text = JobFileText(
                method: method,
                models: ["a", "b"].map { "- {name: \($0), model: models/\($0), captures: \($0)}" },
                rest: [
                    "kfac: {normalization: expand, regularizer: {form: \(form)}}",
                    "outputs: [\(outputs)]",
                ])
            let spec = try text.spec()
            var model = SmallModel()
            model.positions = 3
            return spec.allNotices(against: model.inventory(for: spec)).map(\.description)
        }
        #expect(try notices("pseudo_rows", "merged, regularizer, report") == [merge])
        #expect(try notices("pseudo_rows", "regularizer, report") == [])
        #expect(try notices("pseudo_rows", "regularizer, factors") == [])
        #expect(try notices("accumulated", "merged, regularizer, report") == [])
    }

    // MARK: - Captures

    @Test func `samples of different lengths are refused by name`() throws {
        #expect(
            try problems(job("")) { $0.captures["b"]?.layers["fc1"]?.positions = nil } == [
                "captures of task \"b\": layer \"fc1\" has 30 rows of 10 samples; \"pseudo_rows\" needs equally many rows for "
                    + "each sample. Pad or cut the samples to one length, or leave the layer out with \"layers\"."
            ])
        var other = SmallModel()
        other.positions = 2
        #expect(
            try problems(job("")) { $0.captures["b"] = other.captures(file: 2) } == [
                "captures of task \"b\": layer \"fc1\" has 2 rows for each sample, but 3 in task \"a\"; \"pseudo_rows\" needs "
                    + "equally many in all tasks. Capture them alike, or leave the layer out with \"layers\".",
                "captures of task \"b\": layer \"fc2\" has 2 rows for each sample, but 3 in task \"a\"; \"pseudo_rows\" needs "
                    + "equally many in all tasks. Capture them alike, or leave the layer out with \"layers\".",
            ])
    }

    @Test func `layers with other samples than the first are refused by name`() throws {
        func fewer(_ rows: CapturedRows, _ count: Int) -> CapturedRows {
            .of(rows.tensor, rows: count, columns: rows.columns, file: 1)
        }
        #expect(
            try problems(job("")) { inventory in
                guard var layer = inventory.captures["a"]?.layers["fc2"] else { return }
                layer.input = fewer(layer.input, 27)
                layer.outputGradient = fewer(layer.outputGradient, 54)
                layer.samples = 9
                inventory.captures["a"]?.layers["fc2"] = layer
            } == [
                "captures of task \"a\": \"fc2\" has 9 samples in 1 files, \"fc1\" 10 in 1; \"pseudo_rows\" needs the same "
                    + "samples of all layers and parameters in every file. Capture them together, or leave it out with "
                    + "\"layers\"."
            ])
        #expect(
            try problems(job("")) { inventory in
                guard let layer = inventory.captures["a"]?.layers["fc2"] else { return }
                inventory.captures["a"]?.layers["fc2"]?.outputGradient = fewer(layer.outputGradient, 59)
            } == [
                "captures of task \"a\": layer \"fc2\" has samples that no file holds whole, with all probes; "
                    + "\"pseudo_rows\" needs whole samples. Capture it again."
            ])
    }

    @Test func `embeddings and diagonals are refused by name`() throws {
        let spec = try job("").spec()
        var inventory = SmallModel().inventory(for: spec)
        inventory.captures["a"]?.layers["fc1"]?.input.rowType = .indices(.i32)
        let block = CurvatureBlock(
            name: "fc1", kind: .linear(outputs: 3, inputs: 4, hasBias: true, diagonals: .input), regions: [])
        #expect(
            spec.jointRowsProblems([block], inventory).map(\.description).first
                == "captures of task \"a\": layer \"fc1\" is an embedding, whose inputs are indices; \"pseudo_rows\" has no "
                + "joint rows of it yet. Leave the layer out with \"layers\", or choose the form \"accumulated\".")
        #expect(
            try problems(job("", "diagonal: [fc1.B], "))
                == ["a", "b"].map {
                    "captures of task \"\($0)\": layer \"fc1\" has a diagonal factor, and its rows are as long as the "
                        + "vocabulary; \"pseudo_rows\" has no joint rows of it yet. Leave the layer out with \"layers\", or "
                        + "choose the form \"accumulated\"."
                })
    }

    @Test func `more rows than a Gram matrix may have are refused`() throws {
        #expect(
            try problems(job("")) { inventory in
                var model = SmallModel()
                (model.positions, model.samples) = (3, 4097)
                inventory.captures["a"] = model.captures(file: 1)
            } == [
                "captures of task \"a\": 4097 samples of 2 probes are 8194 joint rows, whose Gram matrix is decomposed "
                    + "whole; expected at most 8192. Capture fewer samples or probes."
            ])
    }

    @Test func `a target's tasks have at most as many pseudo-rows as a Gram matrix may have`() throws {
        func found(_ targets: String, _ ranks: String, samples: Int) throws -> [String] {
            try problems(job(", targets: \(targets), ranks: {\(ranks)}")) { inventory in
                for task: TaskName in ["a", "b"] {
                    var model = SmallModel()
                    (model.positions, model.samples) = (3, samples)
                    inventory.captures[task] = model.captures(file: task == "a" ? 1 : 2)
                }
            }
        }
        #expect(
            try found("all", "gradients: 4097", samples: 4000) == [
                "job.yaml: target \"all\" sums 2 tasks, whose pseudo-rows of gradients are 8194 joint rows; expected at most "
                    + "8192. Lower \"ranks\", or give factors with fewer joint rows."
            ])
        // Fewer rows than are asked for, of inputs, or in a target of one task.
        #expect(try found("all", "gradients: 8192", samples: 2048) == [])
        #expect(try found("all", "inputs: 8192", samples: 4096) == [])
        #expect(try found("[a]", "gradients: 8000", samples: 4096) == [])
    }

    // MARK: - Units

    private static let small = SmallModel(
        layers: [SmallModel.Layer(name: "fc")], parameters: [(name: "norm.weight", count: 4)], positions: 3)

    private func plan(_ regularizer: String) throws -> JobPlan {
        try JobPlan.small(job(regularizer), model: Self.small)
    }

    @Test func `each layer has units of its own, and one unit a side sums them`() throws {
        let plan = try plan(", targets: [a], floor: none")
        let own = plan.lines.filter { !$0.contains(": factor ") && !$0.contains("inner products") }
        #expect(
            own.map { String($0.drop { $0 != ":" }.dropFirst(2).prefix { $0 != "<" }) } == [
                "squares of the inputs of \"fc\" of task \"b\"", "squares of the gradients of \"fc\" of task \"b\"",
                "squares of the gradients of \"norm.weight\" of task \"b\"",
                "weights of the inputs of task \"b\" ", "Gram matrix of the inputs of \"fc\" of task \"b\" ",
                "eigenvectors of the inputs of task \"b\" ", "pseudo-rows of the inputs of \"fc\" of task \"b\" ",
                "weights of the gradients of task \"b\" ", "Gram matrix of the gradients of \"fc\" of task \"b\" ",
                "Gram matrix of the gradients of \"norm.weight\" of task \"b\" ",
                "eigenvectors of the gradients of task \"b\" ", "pseudo-rows of the gradients of \"fc\" of task \"b\" ",
                "pseudo-rows of the gradients of \"norm.weight\" of task \"b\" ",
                "weights of the inputs of target \"a\" ", "Gram matrix of the inputs of \"fc\" of target \"a\" ",
                "eigenvectors of the inputs of target \"a\" ", "pseudo-rows of the inputs of \"fc\" of target \"a\" ",
                "weights of the gradients of target \"a\" ", "Gram matrix of the gradients of \"fc\" of target \"a\" ",
                "Gram matrix of the gradients of \"norm.weight\" of target \"a\" ",
                "eigenvectors of the gradients of target \"a\" ",
                "pseudo-rows of the gradients of \"fc\" of target \"a\" ",
                "pseudo-rows of the gradients of \"norm.weight\" of target \"a\" ",
                "regularizer file of target \"a\" ", "publication of the outputs ",
            ])
        let groups = plan.units.filter { $0.stage == .jointRows && $0.group == nil }.map(\.title)
        #expect(groups.allSatisfy { $0.hasPrefix("weights of") || $0.hasPrefix("eigenvectors of") })
        #expect(groups.count == 8)
    }

    @Test func `a target reads nothing of the task that it leaves out`() throws {
        let plan = try plan(", targets: [a]")
        var read: Set<UnitIndex> = []
        func follow(_ unit: UnitIndex) {
            guard read.insert(unit).inserted else { return }
            plan.units[unit.position].dependencies.forEach(follow)
        }
        let file = try #require(plan.units.first { $0.work == .coordinator(.assembleRegularizer(.without("a"))) })
        follow(file.index)
        let joint = read.map { plan.units[$0.position] }.filter { $0.stage == .jointRows }
        #expect(!joint.isEmpty && joint.allSatisfy { !$0.title.contains("of task \"a\"") })
    }

    @Test func `inputs are multiplied by the root of their share, and gradients by the scale`() throws {
        func scales(_ regularizer: String, _ weights: [String] = ["", ""]) throws -> [[Double]] {
            let models = zip(["a", "b"], weights).map { "- {name: \($0), captures: \($0)\($1)}" }
            let plan = try JobPlan.small(job(", targets: all\(regularizer)", models: models), model: Self.small)
            return plan.units.compactMap { $0.operation as? RowGramOperation }.compactMap { operation in
                guard case .parts(let parts) = operation.rows.source else { return nil }
                return parts.map(\.scale)
            }
        }
        let half = Double(0.5).squareRoot()
        #expect(try scales("") == [[half, half], [1, 1], [1, 1]])
        let mean = 1 / Double(2).squareRoot()
        #expect(try scales(", scale: mean") == [[half, half], [mean, mean], [mean, mean]])
        let weights = [", curvature_weight: 3", ", curvature_weight: 1"]
        #expect(try scales("", weights) == [[0.866_025_403_784_438_6, 0.5], [1, 1], [1, 1]])
    }

    @Test func `the file's tensors have the ranks that there are rows for, and count as bytes of the plan`() throws {
        let plan = try plan(", targets: all, ranks: {inputs: 12, gradients: 30}")
        let tensors = plan.jointTensors(of: .target(.all))
        #expect(
            tensors.map { "\($0.name) \($0.shape)" } == [
                "fc.input_rows [12, 3, 5]", "fc.input_squares [3]", "fc.gradient_rows [30, 3, 3]",
                "fc.gradient_squares [3]", "norm.weight.gradient_rows [30, 4]", "norm.weight.gradient_squares [1]",
                "input_rows [12]", "input_squares [1]",
            ])
        let bytes = tensors.reduce(UInt64(0)) { $0 + $1.byteCount }
        let file = try #require(plan.units.first { $0.work == .coordinator(.assembleRegularizer(.all)) })
        // A [5, 5], B [3, 3] and F [4, 4].
        let factors: UInt64 = 200
        #expect(file.cost.outputBytes == bytes + factors)
        #expect(plan.blobs(readBy: file).count == 3 + 3)
        let summary = PlanSummary(of: plan)
        #expect(summary.regularizer == "pseudo_rows of ranks 12 and 30, floor complement")
        #expect(summary.stages.first { $0.name == "joint rows" }?.units == 36)
    }

    @Test func `layers with the same inputs have the same pseudo-rows of them`() throws {
        let spec = try job(", targets: all").spec()
        let model = SmallModel(
            layers: [SmallModel.Layer(name: "k"), SmallModel.Layer(name: "q")], parameters: [], positions: 3)
        var inventory = model.inventory(for: spec)
        for task: TaskName in ["a", "b"] { inventory.captures[task]?.layers["q"]?.sharedInput = "k" }
        let plan = try JobPlan(spec: spec, inventory: inventory)
        let names = plan.jointTensors(of: .target(.all)).compactMap { tensor -> (String, UnitOutput)? in
            guard case .blob(let output) = tensor.content else { return nil }
            return (tensor.name, output)
        }
        let outputs = Dictionary(uniqueKeysWithValues: names)
        #expect(outputs["k.input_rows"] == outputs["q.input_rows"])
        #expect(outputs["k.gradient_rows"] != outputs["q.gradient_rows"])
        // Without one-dimensional parameters there is no constant.
        #expect(plan.jointTensors(of: .target(.all)).allSatisfy { $0.name.contains(".") })
        let vectors = plan.units.compactMap { $0.operation as? JointEigenvectorsOperation }
        #expect(vectors.allSatisfy { $0.constant == nil })
    }

    /// 2048 samples of 4 probes of ViT-B's widest layer.
    @Test func `a unit's memory stays within its chunk, its Gram matrix and its pseudo-rows`() throws {
        let slices = [
            RowSlice(
                slice: FileSlice(file: 0, offset: 0, byteCount: UInt64(4 * 2048 * 4 * 197) * 3072), rows: 2048 * 4 * 197
            )
        ]
        let rows = JointRows(
            columns: 3072, positions: 197, appendsOnes: false, source: .captured(.f32, slices, divisor: 8192))
        let gram = RowGramOperation(rows: rows, weightListCount: 1)
        #expect(rows.count == 8192 && gram.chunkColumns == 8192)
        #expect(gram.cost.memoryBytes < 1500 << 20)
        let combination = RowCombinationOperation(rows: rows, rank: 128)
        #expect(combination.outputBytes == 128 * 197 * 3072 * 4)
        #expect(combination.cost.memoryBytes < combination.outputBytes + 400 << 20)
    }
}
