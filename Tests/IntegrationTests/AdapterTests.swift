import Foundation
import TestSupport
import Testing

extension SerialIntegrationTests {
    /// Models that are PEFT adapters: they merge as the full models do into which they were merged before.
    @Suite struct AdapterTests {
        private let model: SmallModel
        private var adapters: [String: Adapter] = [:]

        init() throws {
            model = try SmallModel()
            var random = SplitMix64(seed: 7)
            for name in SmallModel.taskNames {
                var adapter = Adapter()
                for layer in ["q", "v", "fc"] { try adapter.add(layer, of: model.base, &random) }
                try adapter.addBias("v", of: model.base, &random)
                try adapter.addEmbedding("embed", of: model.base, &random)
                let bias = try model.base.tensor("q.bias")
                adapter.replace(Tensor(bias.name, bias.shape, random.values(5).map { Float($0) }))
                // Other programs than PEFT leave the adapter's own name.
                let word = name == "gamma" ? "default." : ""
                adapter.tensors = adapter.tensors.map { tensor in
                    tensor.renamed(tensor.name.replacing(/lora_(A|B)\./) { "lora_\($0.1).\(word)" })
                }
                adapters[name] = adapter
                model.checkpoints[name] = adapter.merged(into: model.base)
            }
            try write()
        }

        private func write() throws {
            try model.write()
            for (name, adapter) in adapters { try adapter.write(to: model.directory.appending("adapters/\(name)")) }
        }

        /// The merge of the adapters, and that of the full models.
        private func merges(
            _ change: (SmallModel) -> Void
        ) async throws -> (adapters: TensorFile, full: TensorFile) {
            change(model)
            let full = try await model.run(to: "full")
            let own = try await model.run(to: "own") { model in
                for index in model.job.tasks.indices {
                    model.job.tasks[index].model = "adapters/\(SmallModel.taskNames[index])"
                }
            }
            return (
                try TensorFile(reading: "\(own)/merged/model.safetensors"),
                try TensorFile(reading: "\(full)/merged/model.safetensors")
            )
        }

        @Test(arguments: [
            ("task_arithmetic", "{lambda: 0.3}"), ("linear", "{}"), ("ties", "{density: 0.5}"), ("tsv_m", "{}"),
            ("model_stock", "{}"), ("kfac", "{lambda: 0.5}"), ("regmean", "{}"),
        ])
        func `adapters merge as their full models do`(method: String, parameters: String) async throws {
            let (found, expected) = try await merges { model in
                model.job.method = method
                model.job.outputs = ["merged", "report"]
                model.job.others = ["parameters: \(parameters)"]
                if !["kfac", "regmean"].contains(method) {
                    for index in model.job.tasks.indices { model.job.tasks[index].captures = [] }
                }
            }
            for tensor in expected.tensors where tensor.elementType == .float32 {
                let distance = relativeDistance(try found.tensor(tensor.name).values, tensor.values)
                #expect(distance < 1e-6, "\(tensor.name)")
            }
            #expect(try found.tensor("k.weight").bytes == model.base.tensor("k.weight").bytes)
        }

        @Test func `interference and penalties are those of the full models`() async throws {
            _ = try await merges { model in model.job.outputs = ["merged", "report"] }
            let (own, full) = (
                try Report.read(in: model.directory.appending("own")),
                try Report.read(in: model.directory.appending("full"))
            )
            let values = try [own, full].map { report in
                let interference = try #require(report["interference"] as? [String: Any])
                return try #require(interference["layers"] as? [String: [[Double]]])
            }
            #expect(values[0].keys.sorted() == values[1].keys.sorted())
            for (layer, matrix) in values[1] {
                let found = try #require(values[0][layer])
                #expect(relativeDistance(found.flatMap { $0 }, matrix.flatMap { $0 }) < 1e-5, "\(layer)")
            }
            let inputs = try #require(own["inputs"] as? [[String: Any]])
            let roles = inputs.compactMap { $0["role"] as? String }
            for name in SmallModel.taskNames {
                #expect(roles.contains("adapter of task \"\(name)\""))
                #expect(roles.contains("settings of the adapter of task \"\(name)\""))
            }
        }

        @Test func `a base of 16 bits does not round the updates`() async throws {
            let rounded = model.base.tensors.map { $0.elementType == .float32 ? $0.converted(to: .bfloat16) : $0 }
            model.base.tensors = rounded
            var adapter = Adapter()
            var random = SplitMix64(seed: 9)
            try adapter.add("fc", of: model.base, &random)
            // An update far below the base's last bit.
            adapter.tensors = adapter.tensors.map {
                Tensor($0.name, $0.shape, $0.values.map { Float($0) / 512 })
            }
            model.job.tasks = [JobFile.Task(model: "adapters/small")]
            model.job.outputs = ["merged"]
            model.job.others = ["dtype: float32"]
            try adapter.write(to: model.directory.appending("adapters/small"))
            try model.write()
            let merged = try TensorFile(reading: "\(try await model.run())/merged/model.safetensors")
            let base = try model.base.tensor("fc.weight").values
            let update = zip(try #require(adapter.values["fc.weight"]), base).map { ($0 - $1) / 512 / 512 }
            let found = zip(try merged.tensor("fc.weight").values, base).map { $0 - $1 }
            // The sum is rounded to fp32 once.
            for (one, other) in zip(found, update) { #expect(abs(one - other) < 1e-7) }
            #expect(update.contains { abs($0) > 1e-6 })
        }

        @Test func `mergekit's spelling names the adapter's model, the base or another one`() async throws {
            var other = model.base
            other.tensors = other.tensors.map { tensor in
                guard tensor.name == "q.weight" else { return tensor }
                return Tensor(tensor.name, tensor.shape, tensor.values.map { Float($0) + 1 })
            }
            try other.write(to: model.directory.appending("other.safetensors"))
            for index in model.job.tasks.indices { model.job.tasks[index].captures = [] }
            let (name, adapter) = ("alpha", try #require(adapters["alpha"]))
            model.job.outputs = ["merged"]
            var files: [TensorFile] = []
            for (output, path) in [
                ("plain", "adapters/\(name)"), ("base", "base.safetensors+adapters/\(name)"),
                ("other", "other.safetensors+adapters/\(name)"),
            ] {
                let written = try await model.run(to: output) { $0.job.tasks = [JobFile.Task(model: path)] }
                files.append(try TensorFile(reading: "\(written)/merged/model.safetensors"))
            }
            #expect(files[0].tensors.map(\.bytes) == files[1].tensors.map(\.bytes))
            let expected = try #require(adapter.values["q.weight"]).map { $0 + 1 }
            #expect(relativeDistance(try files[2].tensor("q.weight").values, expected) < 1e-6)
            #expect(try files[2].tensor("fc.weight").bytes == files[0].tensor("fc.weight").bytes)
        }

        @Test func `rename gives an adapter's modules the base's names`() async throws {
            for index in model.job.tasks.indices { model.job.tasks[index].captures = [] }
            model.job.outputs = ["merged"]
            model.job.tasks = [JobFile.Task(model: "adapters/alpha")]
            let plain = try TensorFile(reading: "\(try await model.run(to: "plain"))/merged/model.safetensors")
            var adapter = try #require(adapters["alpha"])
            adapter.tensors = adapter.tensors.map {
                $0.renamed($0.name.replacing("base_model.model.", with: "base_model.model.wrapped."))
            }
            try adapter.write(to: model.directory.appending("adapters/wrapped"))
            model.job.tasks = [JobFile.Task(model: "adapters/wrapped", others: ["rename: {\"wrapped.*\": \"*\"}"])]
            let renamed = try TensorFile(reading: "\(try await model.run(to: "renamed"))/merged/model.safetensors")
            #expect(plain.tensors.map(\.bytes) == renamed.tensors.map(\.bytes))
        }

        @Test func `updates of columns of a weight that is stored transposed are those of the full model`() async throws
        {
            // The middle columns have no factors, and take the mean.
            let layers = [0..<3, 6..<9].map { part in
                StoredLayerExample(
                    name: "c_attn[\(part.lowerBound):\(part.upperBound)]", inputs: 4, outputs: 3,
                    tensors: ["c_attn.weight", "c_attn.bias"]
                ) { _, _ in [] }
            }
            let stored = try StoredModel(layers, tensors: [("c_attn.weight", [4, 9]), ("c_attn.bias", [9])])
            stored.job.curvature.append(#"layout: {"c_attn*": in_out}"#)
            var random = SplitMix64(seed: 5)
            for task in StoredModel.tasks {
                var adapter = Adapter()
                adapter.settings["fan_in_fan_out"] = "true"
                try adapter.add("c_attn", of: stored.base, isTransposed: true, &random)
                stored.checkpoints[task] = adapter.merged(into: stored.base)
                try adapter.write(to: stored.directory.appending("adapters/\(task)"))
            }
            let expected = try await stored.run().merged
            for index in stored.job.tasks.indices {
                stored.job.tasks[index].model = "adapters/\(StoredModel.tasks[index])"
            }
            let found = try await stored.run("own").merged
            for tensor in expected.tensors {
                #expect(relativeDistance(try found.tensor(tensor.name).values, tensor.values) < 1e-6, "\(tensor.name)")
            }
        }

        @Test func `inspect shows what an adapter changes`() async throws {
            let path = model.directory.appending("adapters/alpha")
            let table = try await Client.run(["inspect", path], in: model.directory)
            #expect(table.exitCode == 0, "\(table.errors)")
            let rows = table.output.split(separator: "\n").map { $0.split(separator: " ").map(String.init) }
            #expect(rows.contains(["q.weight", "product", "2", "1.5", "[2,", "6]", "[5,", "2]"]), "\(table.output)")
            #expect(
                rows.contains(["embed.weight", "product", "2", "1.5", "[2,", "4]", "[6,", "2]"]), "\(table.output)")
            #expect(rows.contains(["q.bias", "replaced", "-", "-", "[5]"]), "\(table.output)")
            let json = try await Client.run(["inspect", path, "--output", "json"], in: model.directory)
            let object = try #require(try JSONSerialization.jsonObject(with: Data(json.output.utf8)) as? [String: Any])
            let changes = try #require(object["changes"] as? [[String: Any]])
            let weight = try #require(changes.first { $0["tensor"] as? String == "fc.weight" })
            #expect(weight["rank"] as? Int == 2)
            #expect(weight["scale"] as? Double == 1.5)
            #expect(changes.first { $0["tensor"] as? String == "q.bias" }?["change"] as? String == "replaced")
            try Data("{}".utf8).write(to: URL(fileURLWithPath: "\(path)/adapter_config.json"))
            let refused = try await Client.run(["inspect", path], in: model.directory)
            #expect(refused.exitCode == 2)
            #expect(refused.errors.contains("\"peft_type\" is null; expected \"LORA\"."), "\(refused.errors)")
        }

        // MARK: - Bad input

        /// Expects the whole message of a job with one adapter.
        private func expect(
            _ message: String, sourceLocation: SourceLocation = #_sourceLocation,
            _ change: (inout Adapter) throws -> Void
        ) async throws {
            var adapter = try #require(adapters["alpha"])
            try change(&adapter)
            try adapter.write(to: model.directory.appending("adapters/bad"))
            model.job.tasks = [JobFile.Task(model: "adapters/bad")]
            model.job.outputs = ["merged"]
            try model.write()
            let directory = model.directory.appending("adapters/bad")
            try await model.expectRefusal(
                message.replacing("DIRECTORY", with: directory).replacing(
                    "BASE", with: model.directory.appending("base.safetensors")),
                sourceLocation: sourceLocation)
        }

        @Test func `a factor without its partner is named`() async throws {
            try await expect(
                "DIRECTORY/adapter_model.safetensors: tensor \"base_model.model.q.lora_A.weight\" has no lora_B beside it; "
                    + "expected both factors of a module. Save the adapter again."
            ) { $0.tensors.removeAll { $0.name.hasSuffix("q.lora_B.weight") } }
        }

        @Test func `a module that the base lacks is named`() async throws {
            try await expect(
                "DIRECTORY/adapter_model.safetensors: \"base_model.model.w.lora_B.weight\" of the adapter of task \"bad\" "
                    + "changes \"w.weight\", which the model BASE lacks."
            ) {
                $0.tensors = $0.tensors.map { $0.renamed($0.name.replacing(".q.lora", with: ".w.lora")) }
            }
        }

        @Test func `shapes that do not fit are named`() async throws {
            try await expect(
                "DIRECTORY/adapter_model.safetensors: \"base_model.model.q.lora_A.weight\" F32 [2, 7] and "
                    + "\"base_model.model.q.lora_B.weight\" F32 [5, 2] of the adapter of task \"bad\" do not fit \"q.weight\" "
                    + "F32 [5, 6]; expected [r, in] and [out, r] for [out, in], of floating-point numbers. Name the model "
                    + "that the adapter was trained on."
            ) {
                $0.tensors[0] = Tensor($0.tensors[0].name, [2, 7], [Float](repeating: 1, count: 14))
            }
        }

        @Test func `a factor that is not finite is named`() async throws {
            try await expect(
                "DIRECTORY/adapter_model.safetensors: tensor \"base_model.model.q.lora_B.weight\" holds NaN or infinity, "
                    + "first in element 3; expected finite factors. Save the adapter again, or leave it out."
            ) { $0.tensors[1] = $0.tensors[1].replacing(3, with: .infinity) }
        }

        @Test func `an adapter of weight 0 contributes nothing, whatever it holds`() async throws {
            for index in model.job.tasks.indices { model.job.tasks[index].captures = [] }
            model.job.outputs = ["merged"]
            model.job.tasks = [JobFile.Task(model: "adapters/beta")]
            let alone = try TensorFile(reading: "\(try await model.run(to: "alone"))/merged/model.safetensors")
            var adapter = try #require(adapters["alpha"])
            adapter.tensors[1] = adapter.tensors[1].replacing(3, with: .nan)
            try adapter.write(to: model.directory.appending("adapters/bad"))
            model.job.tasks.append(JobFile.Task(model: "adapters/bad", others: ["parameters: {weight: 0}"]))
            let with = try TensorFile(reading: "\(try await model.run(to: "with"))/merged/model.safetensors")
            #expect(with.tensors.map(\.bytes) == alone.tensors.map(\.bytes))
        }

        @Test func `a rank that is not that of the settings is named`() async throws {
            try await expect(
                "DIRECTORY/adapter_model.safetensors: tensor \"base_model.model.embed.lora_embedding_A\" F32 [2, 4] has the "
                    + "rank 2, but adapter_config.json states r = 4 for it; \"base_model.model.fc.lora_A.weight\" differs "
                    + "too. The product's factor is α by r, so both must agree: correct \"r\" or \"rank_pattern\", or save "
                    + "the adapter again."
            ) {
                $0.settings["r"] = "4"
                $0.settings["rank_pattern"] = "{\"q|v\": 2}"
            }
        }

        @Test func `factors of modules that the settings do not name are remarked and added`() async throws {
            var adapter = Adapter()
            var random = SplitMix64(seed: 9)
            for layer in ["fc", "q"] { try adapter.add(layer, of: model.base, &random) }
            model.job.tasks = [JobFile.Task(model: "adapters/more")]
            model.job.outputs = ["merged"]
            model.job.others = ["dtype: float32"]
            try model.write()
            for (targets, isRemarked) in [("[\"q\"]", true), ("[\"q\", \"fc\"]", false), ("\"q|fc\"", false)] {
                adapter.settings["target_modules"] = targets
                try adapter.write(to: model.directory.appending("adapters/more"))
                let plan = try await Client.run(["plan", model.jobPath], in: model.directory)
                #expect(plan.exitCode == 0, "\(plan.errors)")
                let remark =
                    "the adapter of task \"more\" has factors of 1 matrix that \"target_modules\" does not name: "
                    + "\"fc.weight\". They are added; PEFT would leave them out. Correct adapter_config.json, or save the "
                    + "adapter again with PEFT."
                #expect((plan.output + plan.errors).contains(remark) == isRemarked, "\(plan.output)\(plan.errors)")
            }
            let merged = try TensorFile(reading: "\(try await model.run())/merged/model.safetensors")
            let expected = try adapter.merged(into: model.base).tensor("fc.weight").values
            #expect(relativeDistance(try merged.tensor("fc.weight").values, expected) < 1e-6)
        }

        @Test func `matrices that the settings name and the file lacks are remarked`() async throws {
            var adapter = try #require(adapters["alpha"])
            adapter.settings["target_modules"] = "[\"q\", \"k\", \"nothing\"]"
            model.job.tasks = [JobFile.Task(model: "adapters/bad")]
            model.job.outputs = ["merged"]
            try model.write()
            let remark =
                "the adapter of task \"bad\" has no factors of 1 of the 2 matrices that \"target_modules\" names: "
                + "\"k.weight\". They stay as they are; if they were trained, save the adapter again with PEFT."
            for (restriction, isRemarked) in [("null", true), ("[0]", false)] {
                adapter.settings["layers_to_transform"] = restriction
                try adapter.write(to: model.directory.appending("adapters/bad"))
                let plan = try await Client.run(["plan", model.jobPath], in: model.directory)
                #expect(plan.exitCode == 0, "\(plan.errors)")
                #expect((plan.output + plan.errors).contains(remark) == isRemarked, "\(plan.output)\(plan.errors)")
            }
        }

        @Test func `modules that were trained whole and are not in the file are named`() async throws {
            let save = "Save the adapter again with PEFT, or add it to \"ignore\"."
            try await expect(
                "DIRECTORY/adapter_model.safetensors: adapter_config.json has \"modules_to_save\" with \"norm\", so "
                    + "\"norm.weight\" of the adapter of task \"bad\" was trained, but the file lacks it. \(save)"
            ) { $0.settings["modules_to_save"] = "[\"norm\", \"classifier\", \"head\"]" }
            try await model.expectRefusal(
                "has \"modules_to_save\" with \"head\", so \"head.weight\" of the adapter of task \"bad\" was trained, but"
            )
            // PEFT adds the names of heads for a task type, whether the model has such modules or not.
            var adapter = try #require(adapters["alpha"])
            adapter.settings["modules_to_save"] = "[\"classifier\", \"score\"]"
            try adapter.write(to: model.directory.appending("adapters/bad"))
            _ = try await model.run(to: "accepted")
        }

        @Test(arguments: [
            ("all", "\"k.bias\", \"v.bias\"", "were trained, but the file lacks them"),
            ("lora_only", "\"v.bias\"", "was trained, but the file lacks it"),
        ])
        func `biases that were trained and are not in the file are named`(
            bias: String, names: String, verb: String
        ) async throws {
            try await expect(
                "adapter_config.json has \"bias\": \"\(bias)\", so \(names) of the adapter of task \"bad\" \(verb). Save"
            ) {
                $0.settings["bias"] = "\"\(bias)\""
                $0.tensors.removeAll { $0.name.hasSuffix("v.lora_B.bias") }
            }
        }

        @Test func `factors without the bias that the settings state are named`() async throws {
            try await expect(
                "\"base_model.model.fc.lora_B.weight\", \"base_model.model.q.lora_B.weight\" have no bias of the factor, but "
                    + "adapter_config.json has \"lora_bias\": true; expected one for each lora_B."
            ) { $0.settings["lora_bias"] = "true" }
        }

        @Test func `names of another version of the library are told the entries of rename`() async throws {
            try await expect("in the model's entry.") {
                $0.tensors = $0.tensors.map {
                    $0.renamed($0.name.replacing("base_model.model.", with: "base_model.model.language_model."))
                }
            }
            try await model.expectRefusal(
                "begin with \"language_model.\", those of the model \(model.directory.appending("base.safetensors")) do not."
            )
        }

        @Test func `the model before the plus is the one that is missing`() async throws {
            model.job.tasks = [JobFile.Task(model: "models/gone+adapters/alpha")]
            model.job.outputs = ["merged"]
            try model.write()
            try await model.expectRefusal(
                "models/gone: No such file or directory. If it is a model of the Hugging Face Hub, download it first: hf download "
                    + "models/gone --local-dir models/gone.")
        }

        @Test func `a tensor of another method is named`() async throws {
            try await expect(
                "DIRECTORY/adapter_model.safetensors: tensor \"base_model.model.q.lora_magnitude_vector\" has no place in a "
                    + "LoRA adapter; expected lora_A, lora_B, lora_embedding_A, lora_embedding_B or a tensor of the model. "
                    + "Merge the adapter into its model first: model.merge_and_unload(), then model.save_pretrained()."
            ) { $0.tensors.append(Tensor("base_model.model.q.lora_magnitude_vector", [5], [1, 1, 1, 1, 1])) }
        }

        @Test func `two adapters in one file are named`() async throws {
            try await expect(
                "DIRECTORY/adapter_model.safetensors: tensors \"base_model.model.q.lora_A.weight\" and "
                    + "\"base_model.model.q.lora_A.other.weight\" change the same tensor; expected one of them. Save the "
                    + "adapter again, with one adapter alone."
            ) { $0.tensors.append($0.tensors[0].renamed("base_model.model.q.lora_A.other.weight")) }
        }

        @Test func `an adapter that was not trained changes nothing`() async throws {
            try await expect(
                "DIRECTORY: the model of task \"bad\" contributes to no tensor: 9 of its tensors are merged"
            ) {
                $0.tensors = $0.tensors.filter { !$0.name.hasSuffix("q.bias") }.map {
                    $0.name.contains("_B") ? Tensor($0.name, $0.shape, $0.values.map { _ in 0 }) : $0
                }
            }
        }

        @Test func `settings that are not offered are named, all of them`() async throws {
            try await expect(
                "DIRECTORY/adapter_config.json: \"use_dora\" is true; expected false; the update of DoRA is not of low rank."
            ) {
                $0.settings["use_dora"] = "true"
                $0.settings["layer_replication"] = "[[0, 4]]"
            }
            try await model.expectRefusal("\"layer_replication\" is [[0,4]]; expected null")
        }
    }
}
