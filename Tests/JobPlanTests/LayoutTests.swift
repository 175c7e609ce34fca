import Identifiers
import JobPlan
import Testing
import UnitOperations

/// Layouts are declared, and never guessed from a shape.
struct LayoutTests {
    private static let block: [(name: String, shape: [Int])] = [
        ("h.0.attn.c_attn.weight", [4, 12]), ("h.0.attn.c_attn.bias", [12]), ("h.0.attn.c_proj.weight", [4, 4]),
        ("h.0.attn.c_proj.bias", [4]),
    ]
    private static let layers: [(name: String, inputs: Int, outputs: Int)] = [
        ("h.0.attn.c_attn", 4, 12), ("h.0.attn.c_proj", 4, 4),
    ]

    /// A GPT-2-like block.
    private func model(_ curvature: String..., type: String? = nil) -> StoredModel {
        StoredModel(tensors: Self.block, layers: Self.layers, modelType: type, curvature: curvature)
    }

    private func layouts(_ model: StoredModel) throws -> [WeightLayout] {
        try model.blocks().map { try #require($0.regions.first).layout }
    }

    @Test(arguments: ["gpt2", "openai-gpt", "imagegpt", "decision_transformer", "clvp"])
    func `architectures of Conv1D are recognised`(type: String) throws {
        #expect(try layouts(model(type: type)) == [.inOut, .inOut])
    }

    @Test func `an architecture states nothing about its other modules`() throws {
        var model = model(type: "gpt2")
        model.tensors.append(("head.weight", [4, 4]))
        model.layers.append(("head", 4, 4))
        #expect(try layouts(model) == [.inOut, .inOut, .outIn])
    }

    @Test func `a base that stores such modules the other way is not an exception to its own shapes`() throws {
        var model = model(type: "gpt2")
        model.tensors[0].shape = [12, 4]
        #expect(try layouts(model) == [.outIn, .outIn])
    }

    @Test func `the job and the files of a task may declare layouts`() throws {
        #expect(try layouts(model(#"layout: {"*.c_*": in_out}"#)) == [.inOut, .inOut])
        var stated = model()
        stated.declared = ["h.0.attn.c_attn": .inOut, "h.0.attn.c_proj": .outIn]
        #expect(try layouts(stated) == [.inOut, .outIn])
    }

    @Test func `a layer that fits only transposed is an error that names the key, with all of its kind`() throws {
        #expect(
            try model().problems() == [
                "models/base: the layer \"h.0.attn.c_attn\" fits \"h.0.attn.c_attn.weight\" [4, 12] beside a bias of 12 only "
                    + "as [d_in, d_out], but nothing declares this layout. 1 square layer needs one too. Declare it in the "
                    + "job, as in \"kfac: {layout: {\"h.0.attn.c_attn\": in_out}}\", or as \"layout\" in the metadata of the "
                    + "captures or factors; out_in means [d_out, d_in], as torch.nn.Linear has it."
            ])
    }

    @Test func `without a bias the captured widths show it`() throws {
        var model = model()
        model.tensors = [("h.0.attn.c_attn.weight", [4, 12])]
        model.layers.removeLast()
        #expect(try model.problems().first?.contains("only as [d_in, d_out], but nothing declares") == true)
    }

    @Test func `a square layer beside a transposed one is refused with the evidence`() throws {
        var model = model()
        model.layers.removeFirst()
        let found = try model.problems()
        #expect(found.count == 1)
        #expect(
            found.first?.contains(
                "the layer \"h.0.attn.c_proj\" is square, and the base stores \"h.0.attn.c_attn.weight\" as [4, 12] beside a "
                    + "bias of 12, which is [d_in, d_out], so it cannot be told") == true, "\(found)")
        #expect(found.first?.contains("kfac: {layout: {\"h.0.attn.c_proj\": in_out}}") == true)
    }

    @Test func `a square layer beside one that is declared transposed is refused with the declaration`() throws {
        let found = try model(#"layout: {"*.c_attn": in_out}"#).problems()
        #expect(found.count == 1)
        #expect(
            found.first?.contains(
                "\"h.0.attn.c_proj\" is square, and \"h.0.attn.c_attn\" is stored as [d_in, d_out] (job.yaml:6:12)")
                == true,
            "\(found)")
    }

    @Test func `square experts beside transposed ones are refused with the evidence`() throws {
        let model = StoredModel(
            tensors: [("up", [2, 4, 8]), ("up_bias", [2, 8]), ("down", [2, 4, 4]), ("down_bias", [2, 4])],
            layers: [("down[1]", 4, 4)])
        let found = try model.problems()
        #expect(found.count == 1)
        #expect(
            found.first?.contains("is square, and the base stores \"up\" as [2, 4, 8] beside a bias of 8") == true,
            "\(found)")
    }

    @Test func `a square layer of any other model is used`() throws {
        let tensors: [(name: String, shape: [Int])] = [("q.weight", [4, 4]), ("q.bias", [4])]
        let model = StoredModel(tensors: tensors, layers: [("q", 4, 4)], modelType: "llama")
        #expect(try layouts(model) == [.outIn])
    }

    // MARK: - Contradictions

    @Test func `declarations that contradict each other are named together, once for all layers`() throws {
        var model = model(#"layout: {"*.c_*": in_out}"#)
        model.declared = ["h.0.attn.c_attn": .outIn, "h.0.attn.c_proj": .outIn]
        #expect(
            try model.problems() == [
                "job.yaml:6:12: the layout of \"h.0.attn.c_attn\", \"h.0.attn.c_proj\" is in_out here, but out_in in "
                    + "c.safetensors. Correct one of them."
            ])
    }

    @Test func `a declaration that contradicts a shape is named with the shape`() throws {
        let found = try model(#"layout: {"*.c_*": out_in}"#).problems()
        #expect(
            found == [
                "job.yaml:6:12: the layout of \"h.0.attn.c_attn\" is out_in here, but \"h.0.attn.c_attn.weight\" [4, 12] "
                    + "beside a bias of 12 of models/base and the curvature of task \"a\" fit only in_out. Correct the "
                    + "layout."
            ])
    }

    @Test func `a pattern that matches no layer is named with the nearest one`() throws {
        let found = try model(#"layout: {"*.c_*": in_out, "h.0.attn.c_prj": in_out}"#).problems()
        #expect(
            found == [
                "job.yaml:6:29: the pattern \"h.0.attn.c_prj\" of \"layout\" matches none of 2 layers with captures or "
                    + "factors. Did you mean \"h.0.attn.c_proj\"?"
            ])
    }

    @Test(arguments: [
        ("layout: in_out", "\"layout\" must be a mapping of patterns to out_in or in_out"),
        ("layout: {fc: inout}", "\"layout\" must be one of out_in, in_out, not \"inout\". Did you mean"),
        ("layout: {fc: [in_out]}", "\"layout\" must be one of out_in, in_out"),
    ])
    func `a malformed layout is refused`(line: String, sentence: String) throws {
        let text = JobFileText(rest: ["kfac:", "  \(line)"])
        let found = problems(in: text.yaml)
        #expect(found.count == 1 && found[0].contains(sentence), "\(found)")
    }
}
