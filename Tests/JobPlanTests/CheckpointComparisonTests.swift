import Identifiers
import Testing

@testable import JobPlan

/// Tensors that one checkpoint has and the other lacks: refused with the cause, or noted when they are not used.
@Suite struct CheckpointComparisonTests {
    private typealias Tensor = (name: String, type: String, shape: [Int])

    private func checkpoint(_ tensors: [Tensor], at location: String) -> CheckpointInventory {
        var file = CheckpointInventory.of(tensors.map { ($0.name, $0.shape) }, location: location)
        for tensor in tensors { file = file.with(tensor.name, elementType: tensor.type) }
        return file
    }

    private let common: [(name: String, type: String, shape: [Int])] = [
        ("embed.weight", "F32", [40, 4]), ("mlp.weight", "F32", [4, 4]),
    ]

    private func findings(
        base: [(name: String, type: String, shape: [Int])], own: [(name: String, type: String, shape: [Int])],
        rest: [String] = [], change: (inout CheckpointInventory) -> Void = { _ in }
    ) throws -> (problems: [String], notices: [String]) {
        let spec = try JobFileText(models: ["- model: a"], rest: rest).spec()
        var checkpoint = checkpoint(own, at: "a")
        change(&checkpoint)
        let inventory = JobInventory(base: self.checkpoint(base, at: "b"), checkpoints: ["a": checkpoint])
        return (
            spec.problems(against: inventory).map(\.description), spec.allNotices(against: inventory).map(\.description)
        )
    }

    @Test(arguments: [
        ("embeddings.position_ids", "I64", [1, 8]), ("bn.num_batches_tracked", "I64", []), ("mask", "BOOL", [4, 4]),
        ("rotary_emb.inv_freq", "F32", [8]), ("attn.bias", "F32", [1, 1, 8, 8]), ("attn.masked_bias", "F32", []),
    ])
    func `a buffer on one side is no obstacle and is noted`(name: String, type: String, shape: [Int]) throws {
        let more = common + [(name, type, shape)]
        let missing = try findings(base: more, own: common)
        #expect(missing.problems == [])
        #expect(
            missing.notices == [
                "a: the checkpoint of task \"a\" lacks \"\(name)\", which no merge uses: the base's are kept."
            ])
        let further = try findings(base: common, own: more)
        #expect(further.problems == [])
        #expect(
            further.notices == [
                "a: the checkpoint of task \"a\" has \"\(name)\", which the base lacks and no merge uses: left out."
            ])
    }

    @Test func `a trained tensor on one side is refused with what to do`() throws {
        let more = common + [("adapter_stack.gamma", "F32", [9, 9])]
        #expect(
            try findings(base: more, own: common).problems == [
                "a: tensor \"adapter_stack.gamma\" of the base is missing in the checkpoint of task \"a\"; expected F32 [9, 9]."
            ])
        #expect(
            try findings(base: common, own: more).problems == [
                "a: tensor \"adapter_stack.gamma\" of task \"a\" is not in the base b. Add it to \"ignore\" to leave it out."
            ])
        for (base, own) in [(more, common), (common, more)] {
            let ignored = try findings(base: base, own: own, rest: ["ignore: [\"adapter_*\"]"])
            #expect(ignored.problems == [])
        }
    }

    @Test func `many tensors with one problem are one sentence`() throws {
        let many: [Tensor] = (10..<60).map { ("block.\($0).gamma", "F32", [3, 5]) }
        let more = common + many
        #expect(
            try findings(base: more, own: common).problems == [
                "a: 50 tensors of the base are missing in the checkpoint of task \"a\": \"block.10.gamma\", "
                    + "\"block.11.gamma\", \"block.12.gamma\", \"block.13.gamma\" and 46 more. Save the whole model, or add "
                    + "them to \"ignore\" to keep the base's."
            ])
        #expect(
            try findings(base: common, own: more).problems == [
                "a: 50 tensors of task \"a\" are not in the base b: \"block.10.gamma\", \"block.11.gamma\", "
                    + "\"block.12.gamma\", \"block.13.gamma\" and 46 more. Save both from one class of model, or add them to "
                    + "\"ignore\" to leave them out."
            ])
        #expect(
            try findings(base: more, own: common + many.map { ($0.name, "F32", [5, 3]) }).problems == [
                "a: 50 tensors of task \"a\" have other shapes than in the base: \"block.10.gamma\", \"block.11.gamma\", "
                    + "\"block.12.gamma\", \"block.13.gamma\" and 46 more. The first has [5, 3]; the base has [3, 5]. Merge "
                    + "models of one architecture and size, or write \"mismatched_shapes: base\" to keep the base's."
            ])
        #expect(
            try findings(base: more, own: common + many.map { ($0.name, "I8", [3, 5]) }).problems == [
                "a: 50 tensors of task \"a\" are quantised where the base's are not, or the reverse, and cannot be merged: "
                    + "\"block.10.gamma\", \"block.11.gamma\", \"block.12.gamma\", \"block.13.gamma\" and 46 more. The "
                    + "first is I8; the base has F32. Use the model before its quantisation."
            ])
    }

    @Test func `a tied head is the embedding, a head that was trained apart is refused with the remedy`() throws {
        let head = common + [("lm_head.weight", "F32", [40, 4])]
        let tied = try findings(base: head, own: common) { $0.tie("lm_head.weight", to: "embed.weight") }
        #expect(tied.problems == [])
        #expect(
            tied.notices == [
                "a: the checkpoint of task \"a\" ties \"lm_head.weight\" to its \"embed.weight\", which is merged in its "
                    + "place."
            ])
        let ignored = try findings(base: head, own: common, rest: ["ignore: [lm_head.*]"]) {
            $0.tie("lm_head.weight", to: "embed.weight")
        }
        #expect(ignored.notices == [])
        let further = try findings(base: common, own: head) { $0.tie("lm_head.weight", to: "embed.weight") }
        #expect(further.problems == [])
        #expect(
            further.notices == [
                "a: \"lm_head.weight\" of the checkpoint of task \"a\" equals its \"embed.weight\", to which the base ties "
                    + "it: left out."
            ])
        #expect(
            try findings(base: head, own: common).problems == [
                "a: tensor \"lm_head.weight\" of the base is missing in the checkpoint of task \"a\"; expected F32 [40, 4]. "
                    + "The base holds it apart from \"embed.weight\", so it is not tied. Save the checkpoint with it, or "
                    + "add it to \"ignore\" to keep the base's."
            ])
        #expect(
            try findings(base: common, own: head).problems == [
                "a: tensor \"lm_head.weight\" of task \"a\" is not in the base b. The base ties it to \"embed.weight\"; this "
                    + "checkpoint has trained it apart. Save the base with a head of its own (tie_word_embeddings: false), "
                    + "or add it to \"ignore\" to leave it out."
            ])
    }

    @Test(arguments: [
        ("module.", "by torch.nn.DataParallel or DistributedDataParallel. Save model.module, or"),
        ("_orig_mod.", "by torch.compile. Save model._orig_mod, or"),
        ("base_model.model.", "by PEFT. Merge the adapter first (model.merge_and_unload()), then save, or"),
    ])
    func `names that all begin with a wrapper's are one problem`(beginning: String, cause: String) throws {
        let base = (0..<1500).map { ("layers.\($0).w", "F32", [2]) as Tensor }
        let own = base.map { (beginning + $0.name, $0.type, $0.shape) as Tensor }
        let found = try findings(base: base, own: own).problems
        #expect(
            found == [
                "a: all 1500 tensors that differ by name in the checkpoint of task \"a\" begin with \"\(beginning)\", those "
                    + "of the base b do not. It was saved from a model that is wrapped \(cause) write "
                    + "rename: {\"\(beginning)*\": \"*\"} in the model's entry."
            ])
    }

    @Test func `a beginning that the base's names have too is there once more, or once less`() throws {
        let plain = (0..<20).map { ("model.layers.\($0).w", "F32", [2]) as Tensor }
        let doubled = plain.map { ("model." + $0.name, $0.type, $0.shape) as Tensor }
        #expect(
            try findings(base: plain, own: doubled).problems == [
                "a: all 20 tensors that differ by name in the checkpoint of task \"a\" begin with \"model.\" once more "
                    + "than those of the base b. It was saved from a model that is wrapped by a module that has it as "
                    + "\"model\". Save the inner model, or write rename: {\"model.*\": \"*\"} in the model's entry."
            ])
        #expect(
            try findings(base: doubled, own: plain).problems == [
                "a: all 20 tensors that differ by name in the checkpoint of task \"a\" begin with \"model.\" once less "
                    + "than those of the base b. Save both in the same way, or write rename: {\"*\": \"model.*\"} in the "
                    + "model's entry."
            ])
    }

    @Test func `an adapter is one problem`() throws {
        let own = (0..<20).map { ("base_model.model.l\($0).lora_A.weight", "F32", [2, 4]) as Tensor }
        let found = try findings(base: common, own: own).problems
        #expect(found.count == 1)
        #expect(found[0].hasPrefix("a: 20 tensors of the checkpoint of task \"a\" are those of an adapter ("))
        #expect(found[0].contains("model.merge_and_unload()"))
    }

    @Test func `another vocabulary is one problem with its remedy`() throws {
        let base = common + [("lm_head.weight", "F32", [40, 4])]
        let own: [Tensor] = [
            ("embed.weight", "F32", [41, 4]), ("mlp.weight", "F32", [4, 4]), ("lm_head.weight", "F32", [41, 4]),
        ]
        #expect(
            try findings(base: base, own: own).problems == [
                "a: \"embed.weight\", \"lm_head.weight\" of task \"a\" have 41 rows; the base has 40: the vocabulary was "
                    + "resized, or the head has other classes. Give both the same (model.resize_token_embeddings(40), if "
                    + "the further tokens are not used), or write \"mismatched_shapes: slice\" to merge the rows of the "
                    + "tokens that all models have, or \"mismatched_shapes: base\" to keep the base's."
            ])
        #expect(try findings(base: base, own: own, rest: ["ignore: [embed.*, lm_head.*]"]).problems == [])
    }

    // MARK: - Ignoring

    @Test func `a pattern that matches nothing and one that matches all are refused`() throws {
        #expect(
            try findings(base: common, own: common, rest: ["ignore: [mpl.weight]"]).problems == [
                "job.yaml:5:10: the pattern \"mpl.weight\" of \"ignore\" matches no tensor of the base or of a checkpoint. "
                    + "Did you mean \"mlp.weight\"?"
            ])
        #expect(
            try findings(base: common, own: common, rest: ["ignore: [\"*\"]"]).problems == [
                "job.yaml:5:10: \"ignore\" leaves out every tensor of the base; expected at least one to merge. Narrow the "
                    + "patterns."
            ])
    }

    @Test func `what is copied has a reason`() throws {
        let spec = try JobFileText(models: ["- model: a"], rest: ["ignore: [embed.*]"]).spec()
        let base = checkpoint(
            common + [("steps", "I64", [2]), ("inv_freq", "F32", [2]), ("bn.running_var", "F32", [2])],
            at: "b")
        let copied = CopiedTensors(spec: spec, base: base)
        let reasons = base.tensors.mapValues { copied.reason(of: $0.name) }
        #expect(copied.names(.buffer) == ["bn.running_var", "inv_freq"])
        #expect(
            reasons == [
                "embed.weight": .ignored, "mlp.weight": nil, "steps": .notFloatingPoint, "inv_freq": .buffer,
                "bn.running_var": .buffer,
            ])
    }

    // MARK: - Configurations

    private func configured(_ own: [String: String], _ base: [String: String], _ rest: [String] = []) throws -> (
        problems: [String], notices: [String]
    ) {
        let spec = try JobFileText(models: ["- model: a"], rest: rest).spec()
        var inventory = JobInventory(base: checkpoint(common, at: "b"), checkpoints: ["a": checkpoint(common, at: "a")])
        inventory.base.configuration = ModelConfiguration(location: "b/config.json", values: base)
        inventory.checkpoints["a"]?.configuration = ModelConfiguration(location: "a/config.json", values: own)
        return (
            spec.problems(against: inventory).map(\.description), spec.allNotices(against: inventory).map(\.description)
        )
    }

    @Test(arguments: [
        ("model_type", "\"llama\"", "\"qwen2\""), ("rope_theta", "10000.0", "1000000.0"),
        ("rms_norm_eps", "1e-06", "1e-05"),
        ("text_config.hidden_act", "\"silu\"", "\"gelu\""), ("num_attention_heads", "8", "16"),
        ("tie_word_embeddings", "true", "false"), ("architectures", "[\"A\"]", "[\"B\"]"),
    ])
    func `a key that changes what weights mean is refused, unless the job allows it`(
        key: String, own: String, base: String
    ) throws {
        let last = key.split(separator: ".").last ?? ""
        let sentence =
            "a/config.json: \"\(key)\" is \(own) for task \"a\"; the base has \(base) (b/config.json)"
        #expect(
            try configured([key: own], [key: base]).problems == [
                "\(sentence), so equal weights do not mean the same. Merge models of one architecture, or write "
                    + "\"allow_config_differences: [\(last)]\" to merge them all the same."
            ])
        for allowed in ["[\(last)]", "true", "yes", "[\(key)]"] {
            let found = try configured([key: own], [key: base], ["allow_config_differences: \(allowed)"])
            #expect(found.problems == [])
            #expect(found.notices == ["\(sentence). The job allows it; the base's is kept."])
        }
        #expect(try configured([key: own], [key: base], ["allow_config_differences: no"]).problems.count == 1)
    }

    @Test func `other keys, other notations and keys that one file leaves out are no difference`() throws {
        #expect(try configured(["transformers_version": "\"4\""], ["transformers_version": "\"5\""]).problems == [])
        #expect(try configured(["rms_norm_eps": "1e-05"], ["rms_norm_eps": "0.00001"]).problems == [])
        #expect(try configured(["rope_theta": "10000"], ["rope_theta": "10000.0"]).problems == [])
        #expect(try configured(["head_dim": "64"], [:]).problems == [])
        #expect(try configured(["rope_scaling": "{\"factor\":2}"], [:]).problems.count == 1)
        #expect(try configured(["rope_scaling": "null"], [:]).problems == [])
    }

    @Test func `a name of allow_unchanged that no model has is refused`() {
        #expect(
            problems(in: JobFileText(rest: ["allow_unchanged: [a, bb]"]).yaml) == [
                "job.yaml:6:22: \"allow_unchanged\" names \"bb\", but no model has that name; expected true, or names of "
                    + "models. Did you mean \"b\"?"
            ])
    }

    @Test func `a key that is not compared cannot be allowed`() {
        #expect(
            problems(in: JobFileText(rest: ["allow_config_differences: [rope_teta]"]).yaml) == [
                "job.yaml:6:28: \"allow_config_differences\" names \"rope_teta\", which is not compared; expected true, or "
                    + "keys of config.json that are. Did you mean \"rope_theta\"?"
            ])
    }
}
