import Identifiers
import JobPlan
import Testing
import UnitOperations

/// Models whose weights a quantiser stores as codes are refused by the name of the form, once for each model.
@Suite struct QuantizedFormTests {
    /// The name and type of a tensor.
    typealias Stored = (name: String, type: String)

    private static let plain: [Stored] = [("l.0.weight", "BF16"), ("l.1.weight", "BF16"), ("norm.weight", "BF16")]
    private static let forms: [String: [Stored]] = [
        "FP8 in blocks (weight_scale_inv)": [("weight", "F8_E4M3"), ("weight_scale_inv", "F32")],
        "FP8 (weight_scale)": [("weight", "F8_E4M3"), ("weight_scale", "BF16")],
        "compressed-tensors (weight_packed)": [
            ("weight_packed", "I32"), ("weight_scale", "BF16"), ("weight_shape", "I64"),
        ],
        "MXFP4 (blocks and scales)": [("proj_blocks", "U8"), ("proj_scales", "U8")],
        "GPTQ (qweight, g_idx)": [("qweight", "I32"), ("qzeros", "I32"), ("scales", "F16"), ("g_idx", "I32")],
        "AWQ (qweight, qzeros)": [("qweight", "I32"), ("qzeros", "I32"), ("scales", "F16")],
        "bitsandbytes (absmax, quant_map)": [
            ("weight", "U8"), ("weight.absmax", "F32"), ("weight.quant_map", "F32"),
            ("weight.quant_state.bitsandbytes__nf4", "U8"),
        ],
    ]

    private func checkpoint(_ stored: [Stored], location: String, isQuantized: Bool = false) -> CheckpointInventory {
        let tensors = stored.enumerated().map { position, tensor in
            TensorInventory(
                name: tensor.name, elementType: tensor.type, shape: [2, 2],
                slice: FileSlice(file: 0, offset: UInt64(position * 64), byteCount: 16))
        }
        return CheckpointInventory(
            location: location, shards: [.init(name: "model.safetensors", metadata: [:], tensors: tensors)],
            isQuantized: isQuantized)
    }

    private func quantized(_ form: String) -> [Stored] {
        (0..<2).flatMap { layer in (Self.forms[form] ?? []).map { ("l.\(layer).\($0.name)", $0.type) } }
            + [("norm.weight", "BF16")]
    }

    private func examined(
        base: CheckpointInventory, model: CheckpointInventory
    ) throws -> (problems: [String], notices: [String]) {
        let spec = try JobFileText(models: ["- model: models/a"]).spec()
        var inventory = JobInventory(files: [.of("/base.safetensors", role: "base")], base: base)
        inventory.checkpoints = ["a": model]
        return (
            spec.problems(against: inventory).map(\.description), spec.allNotices(against: inventory).map(\.description)
        )
    }

    @Test(arguments: forms.keys.sorted())
    func `a quantised model beside a plain base is one problem`(form: String) throws {
        let found = try examined(
            base: checkpoint(Self.plain, location: "b"), model: checkpoint(quantized(form), location: "a")
        ).problems
        #expect(found.count == 1, "\(found)")
        #expect(
            found.first?.hasPrefix(
                "a: the checkpoint of task \"a\" is quantised as \(form), and the base is not: 2 tensors of codes (\"l.0."
            )
                == true, "\(found)")
        #expect(found.first?.hasSuffix(".") == true)
    }

    @Test(arguments: forms.keys.sorted())
    func `a plain model beside a quantised base is one problem`(form: String) throws {
        let found = try examined(
            base: checkpoint(quantized(form), location: "b"), model: checkpoint(Self.plain, location: "a")
        ).problems
        #expect(found.count == 1, "\(found)")
        #expect(
            found.first?.hasPrefix(
                "a: the base is quantised as \(form), and the checkpoint of task \"a\" is not: 2 tensors of codes")
                == true,
            "\(found)")
    }

    @Test func `the whole sentence names the codes and says what to do`() throws {
        #expect(
            try examined(
                base: checkpoint(quantized("AWQ (qweight, qzeros)"), location: "b"),
                model: checkpoint(quantized("GPTQ (qweight, g_idx)"), location: "a")
            ).problems == [
                "a: the checkpoint of task \"a\" is quantised as GPTQ (qweight, g_idx), and the base as AWQ (qweight, "
                    + "qzeros): 2 tensors of codes (\"l.0.qweight\", \"l.1.qweight\") cannot be merged. Name the model "
                    + "that it was made from."
            ])
    }

    @Test func `blocks and scales of MXFP4 are codes, also without a configuration`() {
        let model = checkpoint(quantized("MXFP4 (blocks and scales)"), location: "a")
        let kinds = TensorKinds([model])
        #expect(model.shards[0].tensors.filter { kinds.kind(of: $0) == .encoded }.count == 4)
    }

    @Test func `a quantisation that only the configuration states is a remark`() throws {
        let found = try examined(
            base: checkpoint(Self.plain, location: "b", isQuantized: true), model: checkpoint(Self.plain, location: "a")
        )
        #expect(found.problems.isEmpty)
        #expect(
            found.notices == [
                "b: config.json has a quantization_config, but the tensors are plain numbers, and are merged as such. The "
                    + "merged model keeps the entry: remove it unless the loader needs it."
            ])
    }

    // MARK: - Forms of experts

    @Test func `experts that one model stacks and the other does not are one problem`() throws {
        let stack = "l.mlp.experts.down_proj"
        let singles = (0..<3).map { ("l.mlp.experts.\($0).down_proj.weight", [2, 2]) }
        func found(_ base: [(String, [Int])], _ model: [(String, [Int])]) throws -> [String] {
            try examined(base: .of(base, location: "b"), model: .of(model, location: "a")).problems
        }
        let advice =
            "Save both in one form (in transformers: save_pretrained(save_original_format=True) for one by one)."
        #expect(
            try found([(stack, [3, 2, 2])], singles) == [
                "a: the base stacks its experts, as in \"\(stack)\", but the checkpoint of task \"a\" has them one by one, as "
                    + "in \"l.mlp.experts.0.down_proj.weight\". \(advice)"
            ])
        #expect(
            try found(singles, [(stack, [3, 2, 2])]) == [
                "a: the checkpoint of task \"a\" stacks its experts, as in \"\(stack)\", but the base has them one by one, as "
                    + "in \"l.mlp.experts.0.down_proj.weight\". \(advice)"
            ])
    }

    // MARK: - Beginnings of names

    private static let old: [(String, [Int])] = [
        ("language_model.model.embed_tokens.weight", [5, 2]), ("language_model.model.layers.0.q.weight", [2, 2]),
        ("language_model.lm_head.weight", [5, 2]), ("vision_tower.patch.weight", [2, 3]),
    ]
    private static let new: [(String, [Int])] = [
        ("model.language_model.embed_tokens.weight", [5, 2]), ("model.language_model.layers.0.q.weight", [2, 2]),
        ("lm_head.weight", [5, 2]), ("model.vision_tower.patch.weight", [2, 3]),
    ]

    @Test func `names of another version of a composite model are one problem with the entries that undo them`() throws
    {
        #expect(
            try examined(base: .of(Self.new, location: "b"), model: .of(Self.old, location: "a")).problems == [
                "a: 4 tensors of the checkpoint of task \"a\" have the shapes of the base's and other beginnings of names, "
                    + "as another version of transformers writes them: \"language_model.lm_head.weight\". Save both with one "
                    + "version, or write rename: {\"language_model.model.*\": \"model.language_model.*\", "
                    + "\"language_model.lm_head.*\": \"lm_head.*\", \"vision_tower.*\": \"model.vision_tower.*\"} in the "
                    + "model's entry."
            ])
        let reverse = try examined(base: .of(Self.old, location: "b"), model: .of(Self.new, location: "a")).problems
        #expect(reverse.count == 1)
        #expect(reverse.first?.contains("\"lm_head.*\": \"language_model.lm_head.*\"") == true, "\(reverse)")
    }

    @Test func `a composite beginning of other shapes is no change of names`() throws {
        var other = Self.old
        other[1].1 = [2, 7]
        let found = try examined(base: .of(Self.new, location: "b"), model: .of(other, location: "a")).problems
        #expect(!found.contains { $0.contains("another version of transformers") })
    }
}
