import Identifiers
import JobPlan
import TestSupport
import Testing

/// A job file with slices; a test replaces parts of it.
private struct SlicedText {
    var method = "task_arithmetic"
    var base: String? = "models/base"
    /// The slices, which start in line 3, or 2 without a base.
    var slices: [String]
    var rest: [String] = []

    var yaml: String {
        (["merge_method: \(method)"] + (base.map { ["base_model: \($0)"] } ?? []) + ["slices:"]
            + slices.map { "- \($0)" } + rest + ["output: out"]).joined(separator: "\n") + "\n"
    }

    func spec() throws -> JobSpec { try JobSpec(yaml: yaml, fileName: "job.yaml") }
}

private func source(_ model: String, _ first: Int, _ end: Int, _ parameters: String? = nil) -> String {
    "{model: \(model), layer_range: [\(first), \(end)]\(parameters.map { ", parameters: {\($0)}" } ?? "")}"
}

/// mergekit's slices that keep all layers in their places, and the values of their parameters.
@Suite struct SliceTests {
    private static let layers = (0..<5).map { "model.layers.\($0).mlp.weight" }
    private static let outside = ["model.embed_tokens.weight", "model.norm.weight", "lm_head.weight"]
    private let base = CheckpointInventory.of((SliceTests.layers + SliceTests.outside).map { ($0, [2, 2]) })

    private func weights(_ text: SlicedText, of model: Int = 0, _ tensors: [String] = layers) throws -> [Double] {
        let spec = try text.spec()
        let settings = MergeSettings(spec: spec, base: base)
        return tensors.map { settings.weight(of: spec.tasks[model], tensor: $0) }
    }

    @Test func `one slice of all layers is the list of its models`() throws {
        let text = SlicedText(slices: ["sources: [\(source("a", 0, 5, "weight: 0.5")), \(source("b", 0, 5))]"])
        let spec = try text.spec()
        #expect(spec.tasks.map(\.name) == ["a", "b"])
        #expect(spec.tasks.map(\.parameters["weight"]) == [.scalar(0.5), nil])
        #expect(spec.slices == [LayerSlice(layers: 0..<5, location: "job.yaml:4:3")])
        #expect(spec.outputs == [.merged, .report])
    }

    @Test func `the base among the sources is the listed base, and no base is needed where none was`() throws {
        let sources = "sources: [\(source("models/base", 0, 5)), \(source("a", 0, 5))]"
        #expect(try SlicedText(slices: [sources]).spec().listedBase?.name == "base")
        #expect(try SlicedText(slices: [sources]).spec().tasks.map(\.name) == ["a"])
        let linear = try SlicedText(method: "linear", base: nil, slices: [sources]).spec()
        #expect(linear.baseModel.value == "models/base" && !linear.isBaseGiven)
    }

    @Test func `an unlisted base does not count in an average, because slices name their models`() throws {
        let spec = try SlicedText(
            method: "linear", slices: ["sources: [\(source("a", 0, 5))]"], rest: ["parameters: {weight: 0.5}"]
        ).spec()
        #expect(MergeSettings(spec: spec, base: base).baseWeight(tensor: "lm_head.weight") == nil)
        #expect(
            spec.allNotices(against: JobInventory()).map(\.description) == [
                "job.yaml:2:13: the base is not listed among the models, so it does not count in the average and only "
                    + "gives the layout. List it to let it count."
            ])
    }

    /// Layers 0 to 2 are the first slice, with t = 0, ½, 1; layers 3 and 4 are the second, with t = 0, 1.
    @Test func `gradients run over the layers of each slice`() throws {
        let slices = [
            "sources: [\(source("a", 0, 3, "weight: [0, 4]"))]", "sources: [\(source("a", 3, 5, "weight: [1, 2, 3]"))]",
        ]
        #expect(try weights(SlicedText(slices: slices)) == [0, 2, 4, 1, 3])
        let ofJob = ["sources: [\(source("a", 0, 3))]", "sources: [\(source("a", 3, 5))]"]
        #expect(try weights(SlicedText(slices: ofJob, rest: ["parameters: {weight: [0, 1]}"])) == [0, 0.5, 1, 0, 1])
    }

    @Test func `a slice of one layer is at the end of a gradient`() throws {
        let slices = [
            "sources: [\(source("a", 0, 1, "weight: [0, 4]"))]", "sources: [\(source("a", 1, 5, "weight: 7"))]",
        ]
        #expect(try weights(SlicedText(slices: slices)) == [4, 7, 7, 7, 7])
    }

    /// mergekit: tensors before the layers belong to the first slice, others to the last; both have t = 0.
    @Test func `tensors outside the layers belong to the first and the last slice, at their beginning`() throws {
        let slices = [
            "sources: [\(source("a", 0, 3, "weight: [1, 2]"))]", "sources: [\(source("a", 3, 5, "weight: [3, 4]"))]",
        ]
        #expect(try weights(SlicedText(slices: slices), Self.outside) == [1, 3, 3])
        let spec = try SlicedText(slices: slices).spec()
        var inventory = JobInventory()
        inventory.base = base
        #expect(spec.allNotices(against: inventory).isEmpty)
    }

    @Test func `a source precedes its slice, which precedes the module and the job`() throws {
        let modules = """
            merge_method: task_arithmetic
            base_model: models/base
            modules:
              default:
                slices:
                - sources: [{model: a, layer_range: [0, 2], parameters: {weight: [{filter: layers.0, value: 1}]}}]
                  parameters: {weight: [{filter: layers.1, value: 2}]}
                - sources: [{model: a, layer_range: [2, 5]}]
                  parameters: {weight: [{filter: layers.2, value: 3}]}
                parameters: {weight: [{filter: layers.3, value: 4}, {filter: layers.4, value: null}]}
            parameters: {weight: 5, lambda: 6}
            output: out
            """
        let spec = try JobSpec(yaml: modules, fileName: "job.yaml")
        let settings = MergeSettings(spec: spec, base: base)
        #expect(Self.layers.map { settings.weight(of: spec.tasks[0], tensor: $0) } == [1, 2, 3, 4, 5])
        #expect(Self.outside.map { settings.weight(of: spec.tasks[0], tensor: $0) } == [5, 5, 5])
        #expect(spec.parameters["lambda"] == .scalar(6))
    }

    @Test func `a module of models precedes the job`() throws {
        let text = """
            merge_method: task_arithmetic
            base_model: models/base
            modules: {default: {models: [{model: a}, {model: b, parameters: {weight: 2}}], parameters: {weight: 3}}}
            parameters: {weight: 4, lambda: 0.5}
            output: out
            """
        let spec = try JobSpec(yaml: text, fileName: "job.yaml")
        let settings = MergeSettings(spec: spec, base: base)
        #expect(spec.tasks.map { settings.weight(of: $0, tensor: "lm_head.weight") } == [3, 2])
        #expect(settings.scale(tensor: "lm_head.weight") == 0.5 && spec.slices.isEmpty)
    }

    @Test func `filters and shared parameters hold in their slices`() throws {
        let slices = [
            "{sources: [\(source("a", 0, 3))], parameters: {lambda: 2, weight: [{filter: mlp, value: 3}]}}",
            "sources: [\(source("a", 3, 5))]",
        ]
        let spec = try SlicedText(slices: slices).spec()
        let settings = MergeSettings(spec: spec, base: base)
        #expect(Self.layers.map { settings.scale(tensor: $0) } == [2, 2, 2, 1, 1])
        #expect(Self.layers.map { settings.weight(of: spec.tasks[0], tensor: $0) } == [3, 3, 3, 1, 1])
    }
}

/// The forms of mergekit's example configurations: each is read, or refused by name.
@Suite struct MergekitExampleTests {
    @Test func `a gradient of spherical interpolation over one slice is read`() throws {
        let spec = try SlicedText(
            method: "slerp", base: "org/first",
            slices: ["sources: [\(source("org/first", 0, 40)), \(source("org/second", 0, 40))]"],
            rest: [
                "parameters:", "  t:", "    - {filter: self_attn, value: [0, 0.5, 0.3, 0.7, 1]}",
                "    - {filter: mlp, value: [1, 0.5, 0.7, 0.3, 0]}", "    - value: 0.5", "dtype: float16",
            ]
        ).spec()
        #expect(spec.tasks.map(\.name) == ["second"] && spec.listedBase?.name == "first")
        #expect(spec.slices.map(\.layers) == [0..<40])
    }

    @Test func `a stack of two models' layers is refused by its layers`() {
        let text = SlicedText(
            method: "passthrough", base: nil,
            slices: ["sources: [\(source("org/first", 0, 24))]", "sources: [\(source("org/second", 20, 40))]"],
            rest: ["dtype: float16"])
        #expect(
            problems(in: text.yaml) == [
                "job.yaml:4:46: \"layer_range\" begins at layer 20, so layers 20 to 23 would be repeated; expected 24, "
                    + "because merges keep all layers in their places. Let each slice begin where the one before ends.",
                "job.yaml:4:21: \"org/second\" is no source of the first slice; expected the same models in all slices.",
                "job.yaml:4:3: the slice lacks the source \"org/first\" of the first slice; expected the same models in "
                    + "all slices.",
            ])
    }

    @Test(arguments: [
        "merge_method: linear\nmodels: [{model: a, parameters: {weight: 1.0}}, {model: b, parameters: {weight: 0.3}}]\n",
        "merge_method: ties\nbase_model: c\nparameters: {normalize: true, int8_mask: true}\nmodels:\n"
            + "- {model: a, parameters: {density: [1, 0.7, 0.1], weight: 1.0}}\n"
            + "- {model: b, parameters: {density: 0.33, weight: [{filter: mlp, value: 0.5}, {value: 0}]}}\n",
    ])
    func `lists of models are read`(configuration: String) {
        #expect(problems(in: "\(configuration)dtype: float16\noutput: out\n") == [])
    }
}

/// Problems of slices: one test for each message, with the whole message.
@Suite struct SliceProblemTests {
    private static let keeps =
        "because merges keep all layers in their places. Let each slice begin where the one before ends."

    private func expect(_ slices: [String], _ expected: String..., sourceLocation: SourceLocation = #_sourceLocation) {
        #expect(problems(in: SlicedText(slices: slices).yaml) == expected, sourceLocation: sourceLocation)
    }

    @Test func `layers that would be dropped are told`() {
        expect(
            ["sources: [\(source("a", 1, 5))]"],
            "job.yaml:4:37: \"layer_range\" begins at layer 1, so layer 0 would be dropped; expected 0, \(Self.keeps)")
        expect(
            ["sources: [\(source("a", 0, 2))]", "sources: [\(source("a", 4, 5))]"],
            "job.yaml:5:37: \"layer_range\" begins at layer 4, so layers 2 to 3 would be dropped; expected 2, \(Self.keeps)"
        )
    }

    @Test func `layers that would be repeated are told`() {
        expect(
            ["sources: [\(source("a", 0, 3))]", "sources: [\(source("a", 1, 2))]", "sources: [\(source("a", 0, 2))]"],
            "job.yaml:5:37: \"layer_range\" begins at layer 1, so layer 1 would be repeated; expected 3, \(Self.keeps)")
    }

    @Test func `layers that would move are told`() {
        expect(
            ["sources: [\(source("a", 0, 3)), \(source("b", 1, 4))]"],
            "job.yaml:4:70: \"layer_range\" is [1, 4], but [0, 3] in the first source of the slice, so layers would move; "
                + "merges keep every layer in its place. Give all sources of a slice the same range.")
    }

    @Test(arguments: ["[0]", "[3, 3]", "[4, 2]", "[-1, 2]", "[0, 1, 2]", "3", "[a, b]", "[0, 1.5]"])
    func `a range that is none is refused`(range: String) {
        expect(
            ["sources: [{model: a, layer_range: \(range)}]"],
            "job.yaml:4:37: \"layer_range\" must be [first, end], the number of the first layer, from 0, and that behind "
                + "the last.")
    }

    @Test func `missing parts of a slice are told`() {
        expect(["parameters: {}"], "job.yaml:4:3: a slice must have \"sources\", a list of at least one source.")
        expect(["sources: []"], "job.yaml:4:12: a slice must have \"sources\", a list of at least one source.")
        expect(
            ["sources: [{model: a}]"], "job.yaml:4:13: the key \"layer_range\" is missing in a source of a slice.")
        expect(
            ["sources: [{layer_range: [0, 1]}]"], "job.yaml:4:13: the key \"model\" is missing in a source of a slice.")
    }

    @Test func `other models in a later slice are told`() {
        let first = "sources: [\(source("a", 0, 2)), \(source("b", 0, 2))]"
        expect(
            [first, "sources: [\(source("a", 2, 5)), \(source("c", 2, 5))]"],
            "job.yaml:5:54: \"c\" is no source of the first slice; expected the same models in all slices.",
            "job.yaml:5:3: the slice lacks the source \"b\" of the first slice; expected the same models in all slices."
        )
        expect(
            [first, "sources: [\(source("a", 2, 5)), \(source("b", 2, 5)), \(source("a", 2, 5))]"],
            "job.yaml:5:87: \"a\" is twice a source of this slice. Remove one of them.")
    }

    @Test func `what belongs to a whole model stands in the first slice`() {
        expect(
            ["sources: [\(source("a", 0, 2))]", "sources: [{model: a, name: x, layer_range: [2, 5]}]"],
            "job.yaml:5:24: unknown key \"name\" in a source of a slice. Known keys: model, layer_range, parameters.")
    }

    @Test func `a base of a slice must be the job's`() {
        expect(["{base_model: models/base, sources: [\(source("a", 0, 2))]}"])
        expect(
            ["{base_model: other, sources: [\(source("a", 0, 2))]}"],
            "job.yaml:4:16: the \"base_model\" of a slice is \"other\", which is not the job's; expected one base for all "
                + "layers. Name it in the job's \"base_model\".")
    }

    @Test func `a parameter that is one for all tensors cannot differ between slices`() {
        let text = SlicedText(
            method: "ties",
            slices: [
                "{sources: [\(source("a", 0, 2))], parameters: {scope: model}}", "sources: [\(source("a", 2, 5))]",
            ])
        #expect(
            problems(in: text.yaml) == [
                "job.yaml:4:3: \"scope\" differs between slices; expected one value for all tensors. Write it under the "
                    + "job's \"parameters\"."
            ])
    }

    @Test func `one list of models is expected`() {
        #expect(
            problems(in: JobFileText(rest: ["slices: [{sources: [\(source("a", 0, 2))]}]"]).yaml) == [
                "job.yaml:6:9: \"slices\" stands beside \"models\"; expected one of \"models\", \"slices\" and \"modules\". "
                    + "Remove the others."
            ])
        #expect(
            problems(in: SlicedText(slices: []).yaml.replacing("slices:", with: "slices: {}")) == [
                "job.yaml:1:1: the key \"models\" is missing."
            ])
        #expect(
            problems(in: SlicedText(slices: []).yaml.replacing("slices:", with: "slices: all")) == [
                "job.yaml:3:9: \"slices\" must be a list of slices."
            ])
    }

    @Test(arguments: [
        ("[]", "job.yaml:1:1: the key \"models\" is missing."),
        ("all", "job.yaml:3:10: \"modules\" must be a mapping of the name \"default\" to lists of models."),
        (
            "{text_decoder: {models: [{model: a}]}}",
            "job.yaml:3:11: \"modules\" names \"text_decoder\", a part of a model; expected only \"default\", a model "
                + "without parts. List whole models under \"models\"."
        ),
        ("{default: {parameters: {}}}", "job.yaml:3:20: a module must have either \"models\" or \"slices\"."),
        ("{default: {models: [], slices: []}}", "job.yaml:3:20: a module must have either \"models\" or \"slices\"."),
    ])
    func `modules of other forms are told`(modules: String, problem: String) {
        let text = SlicedText(slices: []).yaml.replacing("slices:", with: "modules: \(modules)")
        #expect(problems(in: text) == [problem])
    }

    @Test func `a key that has no effect in mergekit is a notice`() throws {
        let text = SlicedText(slices: ["{sources: [\(source("a", 0, 2))], residual_weight: 0.1}"])
        #expect(
            try text.spec().notices.map(\.description) == [
                "job.yaml:4:48: \"residual_weight\" has no effect in a slice, as in mergekit. Remove it."
            ])
    }

}

/// Slices against the layers that the models have.
@Suite struct SliceCountTests {
    private func problems(_ end: Int, base: CheckpointInventory, model: CheckpointInventory) throws -> [String] {
        let spec = try SlicedText(slices: ["sources: [\(source("a", 0, end))]"]).spec()
        var inventory = JobInventory()
        inventory.base = base
        inventory.checkpoints = ["a": model]
        return spec.problems(against: inventory).map(\.description)
    }

    private func checkpoint(_ tensors: [String], _ configuration: [String: String]? = nil) -> CheckpointInventory {
        var checkpoint = CheckpointInventory.of(tensors.map { ($0, [2]) })
        checkpoint.configuration = configuration.map { ModelConfiguration(location: "models/config.json", values: $0) }
        return checkpoint
    }

    private static let three = (0..<3).map { "layers.\($0).norm.weight" }

    @Test func `the last slice must end with the layers of the base`() throws {
        let base = checkpoint(Self.three)
        #expect(try problems(3, base: base, model: base) == [])
        #expect(
            try problems(2, base: base, model: base) == [
                "job.yaml:4:3: the slices end at layer 2, but the base has 3 layers (\"layers\"); expected all layers, "
                    + "because merges keep their number. End the last slice at 3."
            ])
    }

    @Test(arguments: ["num_hidden_layers", "n_layer", "text_config.num_hidden_layers"])
    func `a configuration states the number of layers`(key: String) throws {
        // A layer behind the stated ones predicts further tokens.
        let base = checkpoint(Self.three, [key: "2"])
        #expect(try problems(2, base: base, model: base) == [])
        let found = try problems(3, base: base, model: checkpoint(Self.three, [key: "3"]))
        #expect(
            found.first
                == "job.yaml:4:3: the slices end at layer 3, but the base has 2 layers (\"\(key)\" in models/config.json); "
                + "expected all layers, because merges keep their number. End the last slice at 2.")
        let model = try problems(2, base: base, model: checkpoint(Self.three, [key: "3"]))
        #expect(
            model == [
                "job.yaml:4:3: the slices end at layer 2, but task \"a\" has 3 layers (\"\(key)\" in models/config.json); "
                    + "expected all layers, because merges keep their number. End the last slice at 3."
            ])
    }

    @Test func `slices need one list of layers`() throws {
        let both = checkpoint(["encoder.layers.0.w", "encoder.layers.1.w", "decoder.layers.0.w", "decoder.layers.1.w"])
        #expect(
            try problems(2, base: both, model: both) == [
                "job.yaml:4:3: the base has several lists of layers, \"decoder.layers\", \"encoder.layers\", so \"slices\" "
                    + "do not say which layers they mean. List whole models under \"models\"."
            ])
        let none = checkpoint(["w"])
        #expect(
            try problems(2, base: none, model: none) == [
                "job.yaml:4:3: the base has no numbered layers, so \"slices\" do not say which layers they mean. List whole "
                    + "models under \"models\"."
            ])
    }

    @Test func `experts within layers are no layers`() throws {
        let base = checkpoint((0..<2).flatMap { layer in (0..<2).map { "layers.\(layer).experts.\($0).weight" } })
        #expect(try problems(2, base: base, model: base) == [])
    }
}
