import Foundation
import TestSupport
import Testing

extension SerialIntegrationTests {
    /// Merges that are written as an adapter: what another job reads back is the merge.
    @Suite struct AdapterExportTests {
        private let model: SmallModel

        init() throws {
            model = try SmallModel()
            model.job.outputs = ["merged", "report"]
            for index in model.job.tasks.indices { model.job.tasks[index].captures = [] }
        }

        /// Makes an adapter of three layers for each task, and lets the job merge them.
        private func useAdapters(
            transposed: Set<String> = [], hasEmbedding: Bool = true, _ change: (Adapter) -> Adapter = { $0 }
        ) throws {
            var random = SplitMix64(seed: 21)
            for (index, name) in SmallModel.taskNames.enumerated() {
                var adapter = Adapter()
                for layer in ["q", "v", "fc"] {
                    try adapter.add(layer, of: model.base, isTransposed: transposed.contains(layer), &random)
                }
                if hasEmbedding { try adapter.addEmbedding("embed", of: model.base, &random) }
                if !transposed.isEmpty { adapter.settings["fan_in_fan_out"] = "true" }
                try change(adapter).write(to: model.directory.appending("adapters/\(name)"))
                model.job.tasks[index].model = "adapters/\(name)"
            }
        }

        /// The merge as a whole model in fp32, and the model that the exported adapter stands for.
        private func merges(
            _ checkpoint: String, _ others: [String]
        ) async throws -> (full: TensorFile, read: TensorFile, adapter: TensorFile, report: [String: Any]) {
            model.job.others = others + ["dtype: float32"]
            let full = try await model.run(to: "full")
            let own = try await model.run(to: "own") { $0.job.others.append("checkpoint: \(checkpoint)") }
            let read = try await model.run(to: "read") { model in
                model.job.method = "task_arithmetic"
                model.job.tasks = [JobFile.Task(model: "own/merged")]
                model.job.others = ["dtype: float32"]
            }
            let report = try Report.read(in: own)
            let merge = try #require(report["merge"] as? [String: Any])
            return (
                try TensorFile(reading: "\(full)/merged/model.safetensors"),
                try TensorFile(reading: "\(read)/merged/model.safetensors"),
                try TensorFile(reading: "\(own)/merged/adapter_model.safetensors"),
                try #require(merge["adapter"] as? [String: Any])
            )
        }

        /// Whether two models are the same up to a share of their difference from the base.
        private func expectEqual(_ read: TensorFile, _ full: TensorFile, within share: Double = 1e-5) throws {
            for tensor in full.tensors where tensor.elementType == .float32 {
                let base = try model.base.tensor(tensor.name).values
                let change = zip(tensor.values, base).map { $0 - $1 }
                let found = zip(try read.tensor(tensor.name).values, base).map { $0 - $1 }
                guard change.contains(where: { $0 != 0 }) else {
                    #expect(found.allSatisfy { $0 == 0 }, "\(tensor.name)")
                    continue
                }
                #expect(relativeDistance(found, change) < share, "\(tensor.name)")
            }
        }

        private func settings() throws -> [String: Any] {
            let data = try Data(
                contentsOf: URL(fileURLWithPath: model.directory.appending("own/merged/adapter_config.json")))
            return try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
        }

        @Test(arguments: [("task_arithmetic", "{lambda: 0.3}"), ("weighted_average", "{weight: 2}")])
        func `concatenated factors are the merge`(method: String, parameters: String) async throws {
            try useAdapters()
            model.job.method = method
            let found = try await merges("{form: lora, rank: exact}", ["parameters: \(parameters)"])
            try expectEqual(found.read, found.full)
            #expect(
                found.adapter.tensors.map(\.name).sorted() == [
                    "base_model.model.embed.lora_embedding_A", "base_model.model.embed.lora_embedding_B",
                    "base_model.model.fc.lora_A.weight", "base_model.model.fc.lora_B.weight",
                    "base_model.model.q.lora_A.weight", "base_model.model.q.lora_B.weight",
                    "base_model.model.v.lora_A.weight", "base_model.model.v.lora_B.weight",
                ])
            #expect(try found.adapter.tensor("base_model.model.q.lora_A.weight").shape == [6, 6])
            #expect(try found.adapter.tensor("base_model.model.embed.lora_embedding_B").shape == [6, 6])
            let error = try #require(found.report["relative_error"] as? Double)
            // Only the factors are rounded, if at all.
            #expect(error < 1e-7)
            let settings = try settings()
            #expect(settings["r"] as? Int == 6 && settings["lora_alpha"] as? Int == 6)
            #expect(settings["peft_type"] as? String == "LORA")
            #expect(settings["base_model_name_or_path"] as? String == model.directory.appending(model.job.base))
            #expect((settings["target_modules"] as? [String])?.sorted() == ["embed", "fc", "q", "v"])
        }

        @Test(arguments: [
            ("task_arithmetic", "{lambda: 0.3}"), ("ties", "{density: 0.5}"), ("tsv_m", "{}"), ("iso_c", "{}"),
        ])
        func `factors of full rank are the merge`(method: String, parameters: String) async throws {
            try useAdapters()
            model.job.method = method
            let found = try await merges("{form: lora, rank: 64}", ["parameters: \(parameters)"])
            try expectEqual(found.read, found.full)
            let tensors = try #require(found.report["tensors"] as? [String: [String: Any]])
            for (name, limit) in [("q.weight", 5), ("fc.weight", 5), ("embed.weight", 4)] {
                let rank = try #require(tensors[name]?["rank"] as? Int)
                #expect(rank > 0 && rank <= limit, "\(name)")
                let error = try #require(tensors[name]?["relative_error"] as? Double)
                #expect(error < 1e-6, "\(name)")
            }
        }

        @Test func `a lower rank keeps the leading triplets, and the report states the error`() async throws {
            try useAdapters()
            let found = try await merges("{form: lora, rank: 2}", [])
            let tensors = try #require(found.report["tensors"] as? [String: [String: Any]])
            #expect(tensors.keys.sorted() == ["embed.weight", "fc.weight", "q.weight", "v.weight"])
            for (name, stated) in tensors {
                let base = try model.base.tensor(name).values
                let change = zip(try found.full.tensor(name).values, base).map { $0 - $1 }
                let kept = zip(try found.read.tensor(name).values, base).map { $0 - $1 }
                let missed = zip(change, kept).map { $0 - $1 }
                func squares(_ values: [Double]) -> Double { values.reduce(0) { $0 + $1 * $1 } }
                let error = (squares(missed) / squares(change)).squareRoot()
                #expect(stated["rank"] as? Int == 2)
                #expect(abs(try #require(stated["relative_error"] as? Double) - error) < 1e-5)
                // What is left out is orthogonal to what is kept, and both parts have the whole's squares.
                #expect(abs(squares(kept) + squares(missed) - squares(change)) < 1e-5 * squares(change))
                #expect(error > 1e-3 && error < 1)
            }
        }

        @Test(arguments: ["exact", "64"])
        func `weights of Conv1D have factors in PEFT's order`(rank: String) async throws {
            try useAdapters(transposed: ["fc"], hasEmbedding: false)
            // The base's [7, 5] is [d_in, d_out].
            let found = try await merges("{form: lora, rank: \(rank)}", [])
            try expectEqual(found.read, found.full)
            #expect(try found.adapter.tensor("base_model.model.fc.lora_A.weight").shape.last == 7)
            #expect(try found.adapter.tensor("base_model.model.fc.lora_B.weight").shape.first == 5)
            #expect(try found.adapter.tensor("base_model.model.q.lora_A.weight").shape.last == 6)
            #expect(try settings()["fan_in_fan_out"] as? Bool == true)
        }

        @Test(arguments: ["exact", "64"])
        func `a base of 16 bits does not round the factors`(rank: String) async throws {
            model.base.tensors = model.base.tensors.map {
                $0.elementType == .float32 ? $0.converted(to: .bfloat16) : $0
            }
            try useAdapters { adapter in
                var adapter = adapter
                // Updates below the base's last bit.
                adapter.tensors = adapter.tensors.map { Tensor($0.name, $0.shape, $0.values.map { Float($0) / 64 }) }
                return adapter
            }
            let found = try await merges("{form: lora, rank: \(rank)}", [])
            // The whole models are rounded to fp32 beside the base.
            try expectEqual(found.read, found.full, within: 1e-2)
            #expect(found.adapter.tensors.allSatisfy { $0.elementType == .float32 })
            #expect(try #require(found.report["relative_error"] as? Double) < 1e-6)
        }

        @Test func `a module whose vectors cancel is left out, and ranks of modules may differ`() async throws {
            try useAdapters()
            model.job.tasks = [
                JobFile.Task(model: "adapters/alpha"),
                JobFile.Task(
                    model: "adapters/alpha",
                    others: ["name: again", "parameters: {weight: [{filter: fc, value: -1}, {value: 1}]}"]),
            ]
            let found = try await merges(
                "{form: lora, rank: 3, layout: flat}".replacing(", layout: flat", with: ""), [])
            try expectEqual(found.read, found.full)
            let names = found.adapter.tensors.map(\.name)
            #expect(!names.contains { $0.contains("fc") } && names.contains { $0.contains("q.lora_A") })
        }

        @Test func `the merge of whole models is an adapter where only matrices changed`() async throws {
            for (name, checkpoint) in model.checkpoints {
                model.checkpoints[name]?.tensors = try checkpoint.tensors.map { tensor in
                    tensor.shape.count == 2 ? tensor : try model.base.tensor(tensor.name)
                }
            }
            let found = try await merges("{form: lora, rank: 7}", ["parameters: {lambda: 0.5}"])
            try expectEqual(found.read, found.full)
        }

        // MARK: - Refusals

        @Test func `changed tensors that are no matrices are named`() async throws {
            model.job.others = ["checkpoint: {form: lora, rank: 4}"]
            try model.write()
            try await model.expectRefusal(
                "\"form: lora\" cannot hold changes of \"q.bias\", \"k.bias\", \"v.bias\", \"norm.weight\", which are no "
                    + "matrices of a module. Add them to \"ignore\", or write \"form: full\".")
        }

        @Test(arguments: [
            (
                "linear", "4",
                "\"form: lora\" needs a merge method of task vectors, but \"linear\" merges the models themselves. Use "
                    + "\"weighted_average\" or \"task_arithmetic\"."
            ),
            (
                "ties", "exact",
                "\"form: lora\" with \"rank: exact\" needs a weighted sum, but \"ties\" is none. Write \"rank\" as a number."
            ),
            (
                "task_arithmetic", "exact",
                "\"form: lora\" with \"rank: exact\" needs adapters, but the model of task \"alpha\" is none. Write \"rank\" "
                    + "as a number."
            ),
            ("task_arithmetic", "0", "\"rank\" must be exact, or a whole number from 1 to 65536."),
            ("task_arithmetic", "some", "\"rank\" must be exact, or a whole number from 1 to 65536."),
        ])
        func `jobs that cannot be an adapter are refused`(method: String, rank: String, message: String) async throws {
            model.job.method = method
            model.job.others = ["checkpoint: {form: lora, rank: \(rank)}"]
            try model.write()
            try await model.expectRefusal(message)
        }

        @Test func `a layer that is merged with its bias by factors is named`() async throws {
            let fresh = try SmallModel()
            fresh.job.method = "kfac"
            fresh.job.outputs = ["merged"]
            fresh.job.others = ["checkpoint: {form: lora, rank: 4}"]
            try fresh.write()
            try await fresh.expectRefusal(
                "\"form: lora\" needs each matrix merged alone, but \"k.weight\" is merged with its bias, or with other "
                    + "tensors, by factors. Leave it out with \"ignore\", or write \"form: full\".")
        }
    }
}
