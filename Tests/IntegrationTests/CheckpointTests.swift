import Foundation
import TestSupport
import Testing

extension SerialIntegrationTests {
    /// Merged checkpoints: the base's layout and types, and the arithmetic of task vectors.
    @Suite struct CheckpointTests {
        private let model: SmallModel

        init() throws {
            model = try SmallModel()
            model.job.outputs = ["merged"]
            for index in model.job.tasks.indices { model.job.tasks[index].captures = [] }
            try model.write()
        }

        /// θ₀ + α Σ w_t (θ_t − θ₀), in double precision.
        private func expected(_ name: String, weights: [Double], alpha: Double) throws -> [Double] {
            let base = try model.base.tensor(name).values
            var sum = base
            for (task, weight) in zip(SmallModel.taskNames, weights) {
                let values = try #require(try model.checkpoints[task]?.tensor(name).values)
                for index in base.indices { sum[index] += alpha * weight * (values[index] - base[index]) }
            }
            return sum
        }

        private func expectMerged(_ merged: TensorFile, weights: [Double], alpha: Double = 1) throws {
            for tensor in model.base.tensors where tensor.elementType == .float32 {
                let distance = relativeDistance(
                    try merged.tensor(tensor.name).values,
                    try expected(tensor.name, weights: weights, alpha: alpha))
                #expect(distance < 1e-7, "\(tensor.name)")
            }
            #expect(try merged.tensor("steps").bytes == model.base.tensor("steps").bytes)
        }

        @Test func `task arithmetic adds what weights and lambda say, negative ones included`() async throws {
            for (index, weight) in ["-1", "0.5", "2"].enumerated() {
                model.job.tasks[index].others = ["parameters: {weight: \(weight)}"]
            }
            model.job.others = ["parameters: {lambda: 0.25}"]
            try model.write()
            let merged = try TensorFile(reading: "\(try await model.run())/merged/model.safetensors")
            try expectMerged(merged, weights: [-1, 0.5, 2], alpha: 0.25)
            #expect(merged.metadata["made_by"] == "a test")
            #expect(merged.metadata["kfacd"] != nil)
        }

        @Test func `a weighted average divides by the sum of the weights`() async throws {
            model.job.method = "linear"
            for (index, weight) in ["1", "1", "2"].enumerated() {
                model.job.tasks[index].others = ["parameters: {weight: \(weight)}"]
            }
            try model.write()
            let merged = try TensorFile(reading: "\(try await model.run())/merged/model.safetensors")
            try expectMerged(merged, weights: [0.25, 0.25, 0.5])
        }

        @Test func `bfloat16 output is the merge rounded to nearest even, and integers are copied`() async throws {
            model.job.others = ["dtype: bfloat16"]
            try model.write()
            let merged = try TensorFile(reading: "\(try await model.run())/merged/model.safetensors")
            for tensor in model.base.tensors where tensor.elementType == .float32 {
                let found = try merged.tensor(tensor.name)
                #expect(found.elementType == .bfloat16)
                let sum = try expected(tensor.name, weights: [1, 1, 1], alpha: 1).map { Float($0) }
                #expect(found.bytes == Tensor(tensor.name, tensor.shape, sum).converted(to: .bfloat16).bytes)
            }
            #expect(try merged.tensor("steps").bytes == model.base.tensor("steps").bytes)
        }

        @Test(arguments: [
            ("task_arithmetic", "1.0e-4", "bfloat16", true), ("tsv_m", "1.0e-4", "bfloat16", true),
            ("task_arithmetic", "1.0e-4", "float32", false), ("task_arithmetic", "10", "bfloat16", false),
            ("tsv_m", "10", "bfloat16", false),
        ])
        func `a vector that drowns in the rounding to 16 bits is a warning`(
            method: String, lambda: String, type: String, isLost: Bool
        ) async throws {
            model.job.method = method
            model.job.outputs = ["merged", "report"]
            model.job.others = ["dtype: \(type)", "parameters: {lambda: \(lambda)}"]
            try model.write()
            let data = try Data(contentsOf: URL(fileURLWithPath: "\(try await model.run())/report.json"))
            let report = try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
            let warnings = try #require(report["warnings"] as? [String]).filter { $0.hasPrefix("rounding to 16 bits") }
            #expect(warnings.count == (isLost ? 1 : 0), "\(warnings)")
            let count = model.base.tensors.count { $0.elementType == .float32 }
            #expect(
                warnings.allSatisfy {
                    $0.hasPrefix(
                        "rounding to 16 bits loses more than half of the merged vector in \(count) of \(count) tensors "
                            + "and layers: \"")
                        && $0.hasSuffix("Write \"dtype: float32\", without another \"out_dtype\", to keep it.")
                })
        }

        @Test func `a sharded base gives a sharded merge with its index, configuration and tokenizer`() async throws {
            let whole = try TensorFile(reading: "\(try await model.run())/merged/model.safetensors")
            let texts = ["config.json": "{\"hidden_size\": 6}\n", "tokenizer.json": "{}\n"]
            let shards = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
            var places: [String: String] = [:]
            for (index, shard) in shards.enumerated() {
                let tensors = model.base.tensors.enumerated().filter { $0.offset % 2 == index }.map(\.element)
                try TensorFile(tensors, metadata: ["format": "pt"]).write(
                    to: model.directory.appending("base/\(shard)"))
                for tensor in tensors { places[tensor.name] = shard }
            }
            let index: [String: Any] = ["metadata": ["total_size": 1], "weight_map": places]
            try JSONSerialization.data(withJSONObject: index).write(
                to: URL(fileURLWithPath: model.directory.appending("base/model.safetensors.index.json")))
            for (name, text) in texts {
                try Data(text.utf8).write(to: URL(fileURLWithPath: model.directory.appending("base/\(name)")))
            }
            model.job.base = "base"
            model.job.output = "sharded"
            try model.write()
            let output = "\(try await model.run())/merged"
            #expect(
                OutputTree.paths(below: output)
                    == (Array(texts.keys) + shards + ["model.safetensors.index.json"]).sorted())
            for (name, text) in texts {
                #expect(FileManager.default.contents(atPath: "\(output)/\(name)") == Data(text.utf8))
            }
            let found = try #require(
                try JSONSerialization.jsonObject(
                    with: Data(contentsOf: URL(fileURLWithPath: "\(output)/model.safetensors.index.json")))
                    as? [String: Any])
            #expect(found["weight_map"] as? [String: String] == places)
            for shard in shards {
                for tensor in try TensorFile(reading: "\(output)/\(shard)").tensors {
                    #expect(places[tensor.name] == shard)
                    #expect(try whole.tensor(tensor.name).bytes == tensor.bytes, "\(tensor.name)")
                }
            }
        }
    }
}
