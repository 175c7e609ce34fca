import Foundation
import TestSupport
import Testing

extension SerialIntegrationTests {
    /// Tensors that no merge can sum.
    ///
    /// The job is refused if a model would lose weights; otherwise they are copied and listed.
    @Suite struct UnsummableTensorTests {
        private let model: SmallModel

        init() throws {
            model = try SmallModel()
            model.job.outputs = ["merged", "report"]
            model.job.tasks = [JobFile.Task(model: "checkpoints/alpha.safetensors")]
        }

        /// A tensor that the test adds to the base and to a model.
        struct Weight: CustomTestStringConvertible, Sendable {
            let name: String
            let type: Tensor.ElementType
            var beside: String?
            var testDescription: String { "\(name) \(type.rawValue)" }

            static let encoded = [
                Weight(name: "head.weight", type: .float8), Weight(name: "head.weight", type: .complex64),
                Weight(name: "head.qweight", type: .int32), Weight(name: "head.weight", type: .uint8),
                Weight(name: "head.data", type: .int32, beside: "head.scales"),
                Weight(name: "head.packed", type: .uint8, beside: "head.packed.absmax"),
            ]
            static let buffers = [
                Weight(name: "norm.steps", type: .int64), Weight(name: "attention.mask", type: .bool),
                Weight(name: "sampler.state", type: .uint8), Weight(name: "position_ids", type: .int32),
            ]
        }

        private func add(_ weight: Weight, base: UInt8, model own: UInt8) throws {
            func tensor(_ value: UInt8) -> Tensor {
                let count = 4 * weight.type.byteCount
                return Tensor(weight.name, weight.type, [2, 2], bytes: Data(repeating: value, count: count))
            }
            model.base.tensors.append(tensor(base))
            model.checkpoints["alpha"]?.tensors.append(tensor(own))
            if let beside = weight.beside {
                model.base.tensors.append(Tensor(beside, [1], [1]))
                model.checkpoints["alpha"]?.tensors.append(Tensor(beside, [1], [1]))
            }
            try model.write()
        }

        private func report() async throws -> [String: Any] {
            let output = try await model.run()
            let report = try Report.read(in: output)
            return try #require(report["merge"] as? [String: Any])
        }

        @Test(arguments: Weight.encoded) func `weights that cannot be summed and differ are refused by name`(
            weight: Weight
        ) async throws {
            try add(weight, base: 1, model: 0)
            try await model.expectRefusal(
                "the tensor \"\(weight.name)\" holds weights of task \"alpha\" as \(weight.type.rawValue)",
                "Dequantise the base and the models")
        }

        @Test func `with a quantization_config integers are weights whatever their name`() async throws {
            try add(Weight(name: "head.stored", type: .uint8), base: 1, model: 0)
            try model.base.write(to: model.directory.appending("b/model.safetensors"))
            try Data(#"{"quantization_config": {"quant_method": "x"}}"#.utf8).write(
                to: URL(fileURLWithPath: model.directory.appending("b/config.json")))
            model.job.base = "b"
            try model.write()
            try await model.expectRefusal("the tensor \"head.stored\" holds weights of task \"alpha\" as U8")
        }

        @Test(arguments: Weight.encoded) func `equal ones are copied and listed as copied`(weight: Weight) async throws
        {
            try add(weight, base: 1, model: 1)
            let merge = try await report()
            let tensors = try #require(merge["tensors"] as? [String: Any])
            #expect((tensors["copied"] as? [String])?.contains(weight.name) == true)
            #expect((merge["merged_by_task_arithmetic"] as? [String])?.contains(weight.name) == false)
            #expect((tensors["differing"] as? [String: Any])?.isEmpty == true)
        }

        @Test func `scales beside equal codes are refused where they differ, and copied where they are equal`()
            async throws
        {
            try add(Weight(name: "head.qweight", type: .int32), base: 1, model: 1)
            let scales: [Float] = [1, 2]
            model.base.tensors.append(Tensor("head.scales", [2], scales))
            model.checkpoints["alpha"]?.tensors.append(Tensor("head.scales", [2], scales))
            try model.write()
            let copied = try await report()["copied"] as? [String: [String]]
            #expect(copied?["quantization"] == ["head.scales"])
            let file = try TensorFile(reading: "\(model.outputPath)/merged/model.safetensors")
            #expect(try file.tensor("head.scales").values == [1, 2])

            model.checkpoints["alpha"]?.tensors.removeLast()
            model.checkpoints["alpha"]?.tensors.append(Tensor("head.scales", [2], [1, 3]))
            try FileManager.default.removeItem(atPath: model.outputPath)
            try model.write()
            try await model.expectRefusal(
                "the tensor \"head.scales\" holds parameters of coded weights of task \"alpha\" as F32",
                "Dequantise the base and the models")
            model.job.others.append("dtype: bfloat16")
            try model.write()
            try await model.expectRefusal(
                "\"dtype\" would change the type of \"head.scales\", which decodes weights that are stored as codes. "
                    + "Leave it out.")
        }

        @Test func `a model of weight 0 may hold any weights there`() async throws {
            try add(Weight(name: "head.weight", type: .float8), base: 1, model: 0)
            model.job.tasks[0].others = [
                "parameters: {weight: [{filter: head, value: 0}, {value: 1}]}"
            ]
            try model.write()
            _ = try await report()
        }

        @Test(arguments: Weight.buffers) func `buffers that differ keep the base's values and are counted`(
            weight: Weight
        ) async throws {
            try add(weight, base: 1, model: 0)
            model.job.tasks.append(JobFile.Task(model: "checkpoints/beta.safetensors"))
            let own = try #require(model.base.tensors.first { $0.name == weight.name })
            model.checkpoints["beta"]?.tensors.append(own)
            try model.write()
            let result = try await Client.run(
                ["run", model.jobPath, "--workers", "1", "--state-directory", model.directory.path],
                in: model.directory)
            #expect(result.exitCode == 0, "\(result.errors)")
            #expect(result.output.contains("2 copied from the base"))
            #expect(
                result.output.contains(
                    "note: 1 buffer keeps the base's values where models have others: \(weight.name) (alpha)"))
            let data = try Data(contentsOf: URL(fileURLWithPath: "\(model.outputPath)/report.json"))
            let whole = try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
            let merge = try #require(whole["merge"] as? [String: Any])
            let tensors = try #require(merge["tensors"] as? [String: Any])
            #expect(tensors["differing"] as? [String: [String]] == [weight.name: ["alpha"]])
            #expect(Set(tensors["copied"] as? [String] ?? []) == [weight.name, "steps"])
            #expect((merge["merged_by_task_arithmetic"] as? [String])?.contains(weight.name) == false)
            let merged = try TensorFile(reading: "\(model.outputPath)/merged/model.safetensors")
            #expect(try merged.tensor(weight.name).bytes == own.bytes)
        }

        @Test(arguments: Weight.encoded) func `ignored weights stay the base's, whatever their type`(weight: Weight)
            async throws
        {
            try add(weight, base: 1, model: 0)
            model.job.others = ["ignore: [\(weight.name)]"]
            try model.write()
            let merge = try await report()
            let tensors = try #require(merge["tensors"] as? [String: Any])
            #expect(tensors["differing"] as? [String: [String]] == [weight.name: ["alpha"]])
            let merged = try TensorFile(reading: "\(model.outputPath)/merged/model.safetensors")
            #expect(try merged.tensor(weight.name).bytes.allSatisfy { $0 == 1 })
        }

        @Test(arguments: [true, false]) func `packed integers that one side lacks are refused`(isBase: Bool)
            async throws
        {
            try add(Weight(name: "head.qweight", type: .int32), base: 1, model: 1)
            if isBase {
                model.checkpoints["alpha"]?.tensors.removeAll { $0.name == "head.qweight" }
            } else {
                model.base.tensors.removeAll { $0.name == "head.qweight" }
            }
            try model.write()
            try await model.expectRefusal("1 tensor of codes (\"head.qweight\") cannot be merged.")
        }

        @Test func `tensors that are copied take the type that the job gives`() async throws {
            let values: [Float] = [1, -.infinity, 0.1]
            model.base.tensors += [Tensor("rotary.inv_freq", [3], values), Tensor("mask.attn_mask", [3], values)]
            model.checkpoints["alpha"]?.tensors.append(Tensor("rotary.inv_freq", [3], [2, 2, 2]))
            model.job.others = ["ignore: [norm.weight]", "dtype: bfloat16"]
            try model.write()
            let merge = try await report()
            let tensors = try #require(merge["tensors"] as? [String: Any])
            #expect(
                tensors["copied"] as? [String] == ["mask.attn_mask", "norm.weight", "rotary.inv_freq", "steps"])
            let merged = try TensorFile(reading: "\(model.outputPath)/merged/model.safetensors")
            for name in ["rotary.inv_freq", "mask.attn_mask", "norm.weight"] {
                #expect(try merged.tensor(name).bytes == model.base.tensor(name).converted(to: .bfloat16).bytes)
            }
        }

        @Test func `a copied value that the output's type cannot hold is named`() async throws {
            model.base.tensors.append(Tensor("mask.attn_mask", [2], [0, -3e38]))
            model.job.others = ["dtype: float16"]
            try model.write()
            try await model.expectRefusal("tensor \"mask.attn_mask\" of the merged checkpoint:", "beyond F16")
        }

        @Test func `a layer that factors merge to the base's values is unchanged`() async throws {
            model.job.method = "kfac"
            model.job.tasks = try SmallModel().job.tasks
            model.job.others = ["parameters: {lambda: 0}"]
            try model.write()
            let merge = try await report()
            let tensors = try #require(merge["tensors"] as? [String: Any])
            #expect(tensors["changed"] as? [String] == [])
            #expect(merge["merged_with_factors"] as? [String] == [])
        }

        @Test func `the report tells changed tensors from unchanged ones, empty ones and scalars included`()
            async throws
        {
            let same = try #require(model.base.tensors.first { $0.name == "norm.weight" })
            model.checkpoints["alpha"]?.tensors.removeAll { $0.name == "norm.weight" }
            model.checkpoints["alpha"]?.tensors.append(same)
            for name in ["empty", "scalar"] {
                let shape = name == "empty" ? [0, 3] : []
                let values: [Float] = name == "empty" ? [] : [2]
                model.base.tensors.append(Tensor(name, shape, values))
                model.checkpoints["alpha"]?.tensors.append(Tensor(name, shape, values.map { $0 + 1 }))
            }
            try model.write()
            let merge = try await report()
            let tensors = try #require(merge["tensors"] as? [String: Any])
            let changed = Set(model.base.tensors.map(\.name)).subtracting(["norm.weight", "empty", "steps"])
            #expect(tensors["changed"] as? [String] == changed.sorted())
            #expect(tensors["unchanged"] as? [String] == ["empty", "norm.weight"])
            #expect(tensors["copied"] as? [String] == ["steps"])
            let models = try #require(merge["models"] as? [String: [String: Any]])
            let counts = try #require(models["alpha"])
            #expect(counts["differing"] as? Int == changed.count)
            #expect(counts["merged"] as? Int == changed.count + 2)
            #expect(counts["unmatched"] as? Int == 0)
        }
    }
}
