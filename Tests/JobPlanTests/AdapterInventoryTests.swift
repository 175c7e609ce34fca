import Identifiers
import LinearAlgebra
import Testing
import UnitOperations

@testable import JobPlan

/// What an adapter changes of a checkpoint: the updates' shapes and orders, and changes that fit nothing.
@Suite struct AdapterInventoryTests {
    private let base = CheckpointInventory.of([
        ("q.weight", [5, 6]), ("q.bias", [5]), ("square.weight", [4, 4]), ("embed.weight", [9, 4]),
        ("conv.weight", [3, 2, 3, 3]), ("conv1d.weight", [6, 5]),
    ])
    private let spec: JobSpec

    init() throws {
        spec = try JobFileText(models: ["- model: a"], rest: ["ignore: [\"left.*\"]"]).spec()
    }

    private func tensor(_ name: String, _ shape: [Int]) -> TensorInventory {
        TensorInventory(
            name: name, elementType: "F32", shape: shape,
            slice: FileSlice(file: 1, offset: 8, byteCount: UInt64(4 * shape.reduce(1, *))))
    }

    private func update(
        _ down: [Int]?, _ up: [Int], _ form: AdapterInventory.Update.Form = .weight(isTransposed: false)
    ) -> AdapterInventory.Update {
        AdapterInventory.Update(form: form, up: tensor("B", up), down: down.map { tensor("A", $0) }, scale: 0.5)
    }

    private func applied(
        _ updates: [String: AdapterInventory.Update], _ replacements: [String: TensorInventory] = [:]
    ) -> (checkpoint: CheckpointInventory, problems: [String]) {
        AdapterInventory(updates: updates, replacements: replacements).applied(to: base, task: "a", of: spec)
    }

    @Test(
        arguments: [
            ("q.weight", [2, 6], [5, 2], .weight(isTransposed: false), false),
            ("conv1d.weight", [2, 6], [5, 2], .weight(isTransposed: true), true),
            // PEFT's setting holds for one class of modules, so the other order is the module's.
            ("conv1d.weight", [2, 6], [5, 2], .weight(isTransposed: false), true),
            ("q.weight", [2, 6], [5, 2], .weight(isTransposed: true), false),
            ("square.weight", [1, 4], [4, 1], .weight(isTransposed: false), false),
            ("embed.weight", [2, 9], [4, 2], .embedding, true),
            ("conv.weight", [7, 2, 3, 3], [3, 7, 1, 1], .weight(isTransposed: false), false),
        ] as [(String, [Int], [Int], AdapterInventory.Update.Form, Bool)])
    func `the order of a weight is the stated one, or the only one that fits`(
        name: String, down: [Int], up: [Int], form: AdapterInventory.Update.Form, isTransposed: Bool
    ) throws {
        let (checkpoint, problems) = applied([name: update(down, up, form)])
        #expect(problems == [])
        let tensor = try #require(checkpoint.tensors[name])
        let found = try #require(tensor.update)
        #expect(found.isTransposed == isTransposed)
        #expect(found.rows == tensor.shape[0])
        #expect(found.columns == tensor.shape.dropFirst().reduce(1, *))
        #expect(found.rank == down[0])
        #expect(found.scale == 0.5)
        #expect(tensor.slice == base.tensors[name]?.slice)
        #expect(checkpoint.shards[0].tensors.filter { $0.update != nil }.map(\.name) == [name])
    }

    @Test func `a square weight has the order of its module's class, whatever the adapter states`() throws {
        let square = "h.1.square.weight"
        /// The order of the square weight, or the problems.
        func order(
            _ isStated: Bool, beside others: [String: AdapterInventory.Update] = [:], type: String? = nil,
            code: Bool = false, rest: [String] = []
        ) throws -> (isTransposed: Bool?, problems: [String]) {
            var base = CheckpointInventory.of([
                (square, [4, 4]), ("h.0.square.weight", [4, 6]), ("in.weight", [6, 4]), ("out.weight", [4, 6]),
                ("h.1.c_proj.weight", [4, 4]),
            ])
            base.modelType = type
            base.configuration = ModelConfiguration(
                location: "config.json", values: code ? ["auto_map.AutoModel": "\"m.M\""] : [:])
            let spec = try JobFileText(models: ["- model: a"], rest: rest).spec()
            let updates = others.merging([square: update([1, 4], [4, 1], .weight(isTransposed: isStated))]) { $1 }
            let (found, problems) = AdapterInventory(updates: updates, replacements: [:]).applied(
                to: base, task: "a", of: spec)
            return (found.tensors[square]?.update?.isTransposed, problems)
        }
        let linear = update([1, 4], [6, 1])
        for isStated in [true, false] {
            // Types of transformers without Conv1D, and the modules of the others that are none.
            #expect(try order(isStated, type: "llama").isTransposed == false)
            #expect(try order(isStated, type: "gpt2").isTransposed == false)
            #expect(try order(isStated, beside: ["in.weight": linear], type: "own", code: true).isTransposed == false)
            #expect(try order(isStated, beside: ["in.weight": linear]).isTransposed == false)
            #expect(try order(isStated, beside: ["out.weight": linear]).isTransposed == true)
            // A module of the same name counts more than the others.
            #expect(
                try order(isStated, beside: ["in.weight": linear, "h.0.square.weight": linear]).isTransposed == true)
            #expect(try order(isStated, rest: ["kfac: {layout: {\"*square\": in_out}}"]).isTransposed == true)
        }
        #expect(try order(false).isTransposed == false)
        let undecided = try order(true)
        #expect(undecided.isTransposed == nil)
        #expect(
            undecided.problems == [
                "the adapter of task \"a\" states \"fan_in_fan_out\": true, but nothing tells whether "
                    + "\"h.1.square.weight\", of equally many rows and columns, is stored as [d_in, d_out]. Declare it in "
                    + "the job, as in \"kfac: {layout: {\"h.1.square\": in_out}}\"; out_in means [d_out, d_in], as "
                    + "torch.nn.Linear has it."
            ])
    }

    @Test func `a bias has one factor, and a replaced tensor is the adapter's`() throws {
        let (checkpoint, problems) = applied(
            ["q.bias": update(nil, [5], .bias)], ["square.weight": tensor("base_model.model.square.weight", [4, 4])])
        #expect(problems == [])
        let bias = try #require(checkpoint.tensors["q.bias"]?.update)
        #expect([bias.rows, bias.columns, bias.rank] == [5, 1, 1])
        #expect(bias.down == nil)
        #expect(checkpoint.tensors["square.weight"] == tensor("square.weight", [4, 4]))
    }

    @Test func `a tensor that is tied to a changed one changes with it`() throws {
        var tied = base
        tied.tie("head.weight", to: "embed.weight")
        let adapter = AdapterInventory(
            updates: ["embed.weight": update([2, 9], [4, 2], .embedding)], replacements: [:])
        let found = adapter.applied(to: tied, task: "a", of: spec).checkpoint.tensors
        #expect(found["head.weight"]?.update == found["embed.weight"]?.update)
        #expect(found["head.weight"]?.name == "head.weight")
    }

    @Test(
        arguments: [
            (
                "conv.weight", [7, 2, 3, 1], [3, 7, 1, 1], .weight(isTransposed: false),
                "\"A\" F32 [7, 2, 3, 1] and \"B\" F32 [3, 7, 1, 1] of the adapter of task \"a\" do not fit \"conv.weight\" F32 "
                    + "[3, 2, 3, 3]; expected [r, in] and [out, r] for [out, in], of floating-point numbers. Name the model "
                    + "that the adapter was trained on."
            ),
            (
                "embed.weight", [2, 8], [4, 2], .embedding,
                "\"A\" F32 [2, 8] and \"B\" F32 [4, 2] of the adapter of task \"a\" do not fit \"embed.weight\" F32 [9, 4]; "
                    + "expected [r, vocabulary] and [dimension, r] for [vocabulary, dimension]. Name the model that the "
                    + "adapter was trained on."
            ),
            (
                "q.weight", [2, 6], [5, 3], .weight(isTransposed: false),
                "\"A\" F32 [2, 6] and \"B\" F32 [5, 3] of the adapter of task \"a\" do not fit \"q.weight\" F32 [5, 6]; expected "
                    + "[r, in] and [out, r] for [out, in], of floating-point numbers. Name the model that the adapter was "
                    + "trained on."
            ),
            (
                "q.bias", nil, [6], .bias,
                "\"B\" F32 [6] of the adapter of task \"a\" do not fit \"q.bias\" F32 [5]; expected [5]. Name the model that "
                    + "the adapter was trained on."
            ),
        ] as [(String, [Int]?, [Int], AdapterInventory.Update.Form, String)])
    func `factors that do not fit are told what is expected`(
        name: String, down: [Int]?, up: [Int], form: AdapterInventory.Update.Form, problem: String
    ) {
        #expect(applied([name: update(down, up, form)]).problems == [problem])
    }

    @Test func `changes of tensors that the model lacks are named, unless the job ignores them`() {
        let remedy =
            "Name the model that the adapter was trained on as the base, or give the base's names by \"rename\"."
        let own = update([2, 6], [5, 2])
        #expect(
            applied(["q.weights": own, "left.weight": own]).problems == [
                "\"B\" of the adapter of task \"a\" changes \"q.weights\", which the model models/base lacks. Did you mean "
                    + "\"q.weight\"? \(remedy)"
            ])
        let many = ["1", "2", "3", "4"].map { ("x.\($0)", own) }
        #expect(
            applied(Dictionary(many) { $1 }).problems == [
                "4 tensors of the adapter of task \"a\" change tensors which the model models/base lacks: "
                    + "\(many.map(\.0).quotedList). \(remedy)"
            ])
    }

    @Test func `names of a composite model's other version are told the entries of rename`() {
        let composite = CheckpointInventory.of([
            ("model.language_model.layers.0.q.weight", [5, 6]), ("model.visual.0.q.weight", [5, 6]),
            ("lm_head.weight", [9, 6]),
        ])
        let own = update([2, 6], [5, 2])
        let names = ["language_model.model.layers.0.q.weight", "visual.0.q.weight"]
        let adapter = AdapterInventory(updates: Dictionary(names.map { ($0, own) }) { $1 }, replacements: [:])
        #expect(
            adapter.applied(to: composite, task: "a", of: spec).problems == [
                "2 tensors that the adapter of task \"a\" changes have other beginnings of names in the model models/base, as "
                    + "another version of transformers writes them: \"\(names[0])\". Write rename: "
                    + "{\"language_model.model.*\": \"model.language_model.*\", \"visual.*\": \"model.visual.*\"} in the "
                    + "model's entry."
            ])
    }

    @Test(arguments: ["q.weight", "q.qweight"])
    func `a quantised model is told to be dequantised`(codes: String) {
        let sizes = [("q.g_idx", [5]), ("q.weight.absmax", [1]), (codes, [15, 1])].map { name, shape in
            TensorInventory(
                name: name, elementType: "U8", shape: shape,
                slice: FileSlice(file: 0, offset: 0, byteCount: UInt64(shape.reduce(1, *))))
        }
        let quantized = CheckpointInventory(
            location: "models/base", shards: [.init(name: "model.safetensors", metadata: [:], tensors: sizes)])
        let adapter = AdapterInventory(updates: ["q.weight": update([2, 6], [5, 2])], replacements: [:])
        let (form, remedy) =
            codes == "q.weight"
            ? (
                "bitsandbytes (absmax, quant_map)",
                "Load the model with transformers, call model.dequantize(), save it as BF16, and name that."
            ) : ("GPTQ (qweight, g_idx)", "Name the model that it was made from.")
        #expect(
            adapter.applied(to: quantized, task: "a", of: spec).problems == [
                "the adapter of task \"a\" changes \"q.weight\", which the model models/base has in the form \(form): "
                    + "nothing can be added to codes. \(remedy)"
            ])
    }

    @Test func `a job's fingerprint depends on the settings of its adapters`() {
        var inventory = JobInventory(base: base, checkpoints: ["a": base])
        let plain = inventory.fingerprint(specText: "", output: "")
        var digests = [plain]
        for byte in [1, 2] as [UInt8] {
            inventory.checkpoints["a"]?.adapter = AdapterSource(
                file: 0, configurationPath: "a", configurationByteCount: 1,
                configurationDigest: BlobDigest(sha256: [UInt8](repeating: byte, count: BlobDigest.byteCount)))
            digests.append(inventory.fingerprint(specText: "", output: ""))
        }
        #expect(Set(digests).count == 3)
    }
}
