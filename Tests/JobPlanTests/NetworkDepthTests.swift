import JobPlan
import Testing

/// The depth of tensors between a network's first and last block.
@Suite struct NetworkDepthTests {
    private func depths(_ names: [String], sorted: Bool = true) -> [String: Double] {
        let base = CheckpointInventory.of((sorted ? names.sorted() : names).map { ($0, [2]) })
        let depth = NetworkDepth(base: base)
        return Dictionary(uniqueKeysWithValues: names.map { ($0, depth.depth(of: $0)) })
    }

    private func expect(
        before: [String] = [], behind: [String] = [], blocks: [String: Double] = [:],
        sourceLocation: SourceLocation = #_sourceLocation
    ) {
        let found = depths(before + behind + Array(blocks.keys))
        for name in before { #expect(found[name] == 0, "\(name)", sourceLocation: sourceLocation) }
        for name in behind { #expect(found[name] == 1, "\(name)", sourceLocation: sourceLocation) }
        for (name, t) in blocks { #expect(found[name] == t, "\(name)", sourceLocation: sourceLocation) }
    }

    private func blocks(_ prefix: String, _ count: Int, _ suffix: String = "mlp.weight") -> [String: Double] {
        Dictionary(
            uniqueKeysWithValues: (0..<count).map { ("\(prefix).\($0).\(suffix)", Double($0) / Double(count - 1)) })
    }

    @Test func `a decoder ends with its norm and head`() {
        expect(
            before: ["model.embed_tokens.weight"], behind: ["model.norm.weight", "lm_head.weight"],
            blocks: blocks("model.layers", 5))
        expect(
            before: ["transformer.wte.weight", "transformer.wpe.weight"],
            behind: ["transformer.ln_f.weight", "score.weight"], blocks: blocks("transformer.h", 3))
        expect(
            before: ["gpt_neox.embed_in.weight"], behind: ["gpt_neox.final_layer_norm.bias", "embed_out.weight"],
            blocks: blocks("gpt_neox.layers", 3))
    }

    @Test func `an encoder begins with embeddings and their norm`() {
        expect(
            before: ["bert.embeddings.word_embeddings.weight", "bert.embeddings.LayerNorm.weight"],
            behind: ["bert.pooler.dense.weight", "classifier.weight", "cls.predictions.bias"],
            blocks: blocks("bert.encoder.layer", 3))
    }

    @Test func `encoder and decoder are depths of their own`() {
        expect(
            before: ["shared.weight", "encoder.embed_tokens.weight", "decoder.embed_tokens.weight"],
            behind: ["encoder.final_layer_norm.weight", "decoder.final_layer_norm.weight", "lm_head.weight"],
            blocks: blocks("encoder.block", 5).merging(blocks("decoder.block", 3)) { first, _ in first })
    }

    @Test func `a vision tower has its own ends, and what joins it to the language model stands behind it`() {
        expect(
            before: [
                "visual.patch_embed.proj.weight", "visual.pos_embed", "model.embed_tokens.weight",
                "visual.ln_pre.weight",
            ],
            behind: [
                "visual.merger.mlp.0.weight", "visual.merger.mlp.2.weight", "multi_modal_projector.linear_1.weight",
                "visual.ln_post.weight", "visual.proj", "model.norm.weight",
            ],
            blocks: blocks("visual.blocks", 3).merging(blocks("model.layers", 5)) { first, _ in first })
    }

    @Test func `a head of numbered parts is no stack of blocks`() {
        expect(
            behind: ["classifier.0.weight", "classifier.3.weight", "head.0.weight"], blocks: blocks("features", 3))
    }

    @Test func `numbers that are not of the first list are parts of a block, and huge ones are names`() {
        let found = depths(["layers.0.experts.7.w", "layers.1.experts.0.w", "layers.99999999999999999999.w"])
        #expect(found["layers.0.experts.7.w"] == 0)
        #expect(found["layers.1.experts.0.w"] == 1)
        #expect(found["layers.99999999999999999999.w"] == 0)
    }

    @Test func `a stack of one block is at its end`() {
        #expect(depths(["layers.0.mlp.weight"])["layers.0.mlp.weight"] == 1)
    }

    @Test func `a stack inside a numbered module is found`() {
        let found = depths(["0.model.layer.0.w", "0.model.layer.1.w", "0.model.layer.2.w", "2.dense.weight"])
        #expect(found["0.model.layer.1.w"] == 0.5)
    }

    @Test func `where names tell nothing, an order that is not by name does`() {
        let names = ["zeta.weight", "blocks.0.w", "blocks.1.w", "alpha.weight"]
        #expect(depths(names, sorted: false)["zeta.weight"] == 0)
        #expect(depths(names, sorted: false)["alpha.weight"] == 1)
        let base = CheckpointInventory.of(names.sorted().map { ($0, [2]) })
        #expect(NetworkDepth(base: base).place(of: "alpha.weight") == .unknown)
    }

    @Test func `gradients say which tensors behind the blocks take their last value`() throws {
        let text = JobFileText(models: ["- {model: models/a, parameters: {weight: [0, 1]}}"])
        let base = CheckpointInventory.of(
            ["embed", "layers.0.w", "layers.1.w", "norm.weight", "x.w"].map { ($0, [2]) })
        let notices = try text.spec().allNotices(against: JobInventory(base: base))
        #expect(
            notices.map(\.description) == [
                "job.yaml: gradients end behind the blocks: \"norm.weight\" take the last value. (mergekit 0.1 gives them "
                    + "the first.) Use a filter for another one.",
                "job.yaml: neither its name nor the order in the file tells where in the network \"x.w\" stands; "
                    + "gradients give the first value. Use a filter for another one.",
            ])
    }
}
