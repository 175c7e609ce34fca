import Foundation
import TestSupport
import Testing

extension SerialIntegrationTests {
    /// NaN, infinity and overflowing values, in the inputs and in the results of a merge.
    @Suite struct FiniteMergeTests {
        private let model: SmallModel

        init() throws {
            model = try SmallModel()
            model.job.outputs = ["merged", "report"]
            model.job.tasks = [JobFile.Task(model: "checkpoints/alpha.safetensors")]
        }

        private func change(_ file: inout TensorFile?, _ tensor: String, _ change: (Tensor) -> Tensor) throws {
            let index = try #require(file?.tensors.firstIndex { $0.name == tensor })
            let changed = change(try #require(file?.tensors[index]))
            file?.tensors[index] = changed
        }

        private func changeAlpha(_ tensor: String, _ change: (Tensor) -> Tensor) throws {
            try self.change(&model.checkpoints["alpha"], tensor, change)
            try model.write()
        }

        private func changeBase(_ tensor: String, _ change: (Tensor) -> Tensor) throws {
            var base: TensorFile? = model.base
            try self.change(&base, tensor, change)
            model.base = try #require(base)
            try model.write()
        }

        @Test(arguments: [Float.nan, .infinity, -.infinity])
        func `a model's value that is not finite is named with file, tensor and element`(value: Float) async throws {
            try changeAlpha("embed.weight") { $0.replacing(5, with: value).replacing(9, with: value) }
            try await model.expectRefusal(
                "checkpoints/alpha.safetensors: tensor \"embed.weight\" holds NaN or infinity in 2 of 24 elements, "
                    + "first in element 5; expected finite values.")
        }

        @Test(arguments: [Float.nan, .infinity])
        func `so is the base's`(value: Float) async throws {
            try changeBase("embed.weight") { $0.replacing(3, with: value) }
            try await model.expectRefusal(
                "base.safetensors: tensor \"embed.weight\" holds NaN or infinity in 1 of 24 elements, first in element 3;"
            )
        }

        @Test(
            arguments: ["ties", "dare_ties", "breadcrumbs_ties", "della", "linear", "task_arithmetic"],
            [Float.nan, .infinity, -.infinity])
        func `no election of signs hides it, and no thinning`(method: String, value: Float) async throws {
            try changeAlpha("embed.weight") { $0.replacing(5, with: value) }
            model.job.method = method
            model.job.tasks = SmallModel.taskNames.map {
                JobFile.Task(model: "checkpoints/\($0).safetensors", others: ["parameters: {weight: 1}"])
            }
            switch method {
            case "linear", "task_arithmetic": break
            case "breadcrumbs_ties": model.job.others = ["parameters: {density: 1, gamma: 0}"]
            // Nothing is thinned, so nothing is measured before.
            default: model.job.others = ["parameters: {density: 1}"]
            }
            try model.write()
            try await model.expectRefusal(
                "checkpoints/alpha.safetensors: tensor \"embed.weight\" holds NaN or infinity")
        }

        @Test(arguments: ["float16", "bfloat16", "float64"])
        func `whatever the type of the output`(type: String) async throws {
            try changeAlpha("embed.weight") { $0.replacing(5, with: .infinity) }
            model.job.others = ["dtype: \(type)"]
            try model.write()
            try await model.expectRefusal("tensor \"embed.weight\" holds NaN or infinity in 1 of 24 elements")
        }

        @Test func `by option they are merged as they are and counted`() async throws {
            try changeAlpha("embed.weight") { $0.replacing(5, with: .nan).replacing(7, with: .infinity) }
            model.job.others = ["non_finite: allow"]
            try model.write()
            let output = try await model.run()
            let merged = try TensorFile(reading: "\(output)/merged/model.safetensors").tensor("embed.weight").values
            #expect(merged[5].isNaN && merged[7] == .infinity)
            #expect(merged.count(where: \.isFinite) == 22)
            let report = try Report.read(in: output)
            let merge = try #require(report["merge"] as? [String: Any])
            #expect(merge["non_finite"] as? [String: [String: Int]] == ["alpha": ["embed.weight": 2]])
        }

        @Test(arguments: ["refuse", "allow"])
        func `finite values beyond the output's type are an error, whatever the option`(option: String) async throws {
            try changeAlpha("embed.weight") { $0.replacing(6, with: 70000).replacing(8, with: -1e6) }
            model.job.others = ["dtype: float16", "non_finite: \(option)"]
            try model.write()
            try await model.expectRefusal(
                "tensor \"embed.weight\" of the merged checkpoint: 2 merged values are finite but beyond F16, which "
                    + "ends at 65504.0; the first is element 6, the largest magnitude 1000000.0. BF16 would hold it: write "
                    + "\"dtype: bfloat16\", or lower the weights.")
        }

        @Test func `a sum beyond fp32 names fp64`() async throws {
            try changeAlpha("embed.weight") { $0.replacing(6, with: 3e38) }
            model.job.tasks[0].others = ["parameters: {weight: 10}"]
            try model.write()
            try await model.expectRefusal("1 merged value is finite but beyond F32", "F64 would hold it")
        }

        @Test func `a difference beyond fp32 whose sum comes back is merged`() async throws {
            try changeAlpha("embed.weight") { $0.replacing(6, with: 3e38) }
            try changeBase("embed.weight") { $0.replacing(6, with: -3e38) }
            model.job.tasks[0].others = ["parameters: {weight: 0.5}"]
            try model.write()
            let output = try await model.run()
            let merged = try TensorFile(reading: "\(output)/merged/model.safetensors").tensor("embed.weight").values
            #expect(abs(merged[6]) < 1e31)
        }

        @Test(arguments: [Float.nan, .infinity])
        func `a model of weight 0 contributes nothing, whatever it holds`(value: Float) async throws {
            try changeAlpha("embed.weight") { $0.replacing(5, with: value) }
            model.job.tasks.append(JobFile.Task(model: "checkpoints/beta.safetensors"))
            model.job.tasks[0].others = ["parameters: {weight: 0}"]
            try model.write()
            let with = try TensorFile(reading: "\(try await model.run())/merged/model.safetensors")
            model.job.tasks.removeFirst()
            model.job.output = "alone"
            try model.write()
            let without = try TensorFile(reading: "\(try await model.run())/merged/model.safetensors")
            #expect(with.tensors.map(\.bytes) == without.tensors.map(\.bytes))
        }

        @Test func `with every weight 0 the base comes out, in the output's type`() async throws {
            model.job.tasks[0].others = ["parameters: {weight: 0}"]
            model.job.others = ["dtype: bfloat16"]
            try changeAlpha("embed.weight") { $0.replacing(5, with: .nan) }
            let merged = try TensorFile(reading: "\(try await model.run())/merged/model.safetensors")
            for tensor in model.base.tensors where tensor.elementType == .float32 {
                #expect(try merged.tensor(tensor.name).bytes == tensor.converted(to: .bfloat16).bytes)
            }
        }

        @Test func `a filter that gives a tensor the weight 0 keeps its NaN out`() async throws {
            try changeAlpha("embed.weight") { $0.replacing(5, with: .nan) }
            model.job.tasks[0].others = ["parameters: {weight: [{filter: embed, value: 0}, {value: 1}]}"]
            try model.write()
            let merged = try TensorFile(reading: "\(try await model.run())/merged/model.safetensors")
            #expect(try merged.tensor("embed.weight").bytes == model.base.tensor("embed.weight").bytes)
        }

        // MARK: - With factors

        private func useFactors() throws {
            model.job.method = "kfac"
            model.job.curvature = ["interference: false"]
            model.job.tasks = SmallModel.taskNames.map {
                JobFile.Task(model: "checkpoints/\($0).safetensors", captures: ["captures/\($0).safetensors"])
            }
            try model.write()
        }

        @Test(arguments: [
            ("fc.weight", "the weight of \"fc\""), ("q.weight", "the weight of \"q\""), ("q.bias", "the bias of \"q\""),
            ("norm.weight", "tensor \"norm.weight\""),
        ])
        func `a parameter with factors that is not finite is named`(tensor: String, description: String) async throws {
            try useFactors()
            try changeAlpha(tensor) { $0.replacing(2, with: .nan) }
            try await model.expectRefusal(
                "checkpoints/alpha.safetensors: \(description) holds NaN or infinity, first in element 2;")
        }

        @Test func `with factors a model of weight 0 contributes nothing, its curvature included`() async throws {
            try useFactors()
            try changeAlpha("fc.weight") { $0.replacing(5, with: .nan) }
            model.job.tasks[0].others = ["parameters: {weight: 0}"]
            try model.write()
            let with = try TensorFile(reading: "\(try await model.run())/merged/model.safetensors")
            model.job.tasks.removeFirst()
            model.job.output = "alone"
            try model.write()
            let without = try TensorFile(reading: "\(try await model.run())/merged/model.safetensors")
            #expect(with.tensors.map(\.bytes) == without.tensors.map(\.bytes))
        }

        @Test(arguments: [Float.nan, .infinity])
        func `a model of weight 0 that is not finite leaves its own row of the interference empty`(
            value: Float
        ) async throws {
            try useFactors()
            model.job.curvature = []
            model.job.tasks[0].others = ["parameters: {weight: 0}"]
            try model.write()
            let finite = try await report("finite")
            try changeAlpha("fc.weight") { $0.replacing(5, with: value) }
            let report = try await report("out")
            let (found, expected) = (try interference(report), try interference(finite))
            #expect(found[0] == [nil, nil, nil])
            #expect(expected[0].allSatisfy { $0 != nil })
            #expect(found[1...] == expected[1...])
            #expect(
                report["warnings"] as? [String] == [
                    "the task vector of \"alpha\" is not finite in \"fc\", where its weight is 0: nothing of it is merged "
                        + "there, and its interference and penalty are null."
                ])
        }

        private func report(_ output: String) async throws -> [String: Any] {
            model.job.output = output
            try model.write()
            return try Report.read(in: try await model.run())
        }

        private func interference(_ report: [String: Any]) throws -> [[Double?]] {
            let found = try #require(report["interference"] as? [String: Any])
            return try #require(found["matrix"] as? [[Any]]).map { $0.map { $0 as? Double } }
        }

        @Test func `a merged parameter beyond the output's type names tensor, count and type`() async throws {
            try useFactors()
            try changeBase("q.bias") { $0.replacing(2, with: 70000) }
            for name in SmallModel.taskNames {
                try change(&model.checkpoints[name], "q.bias") { $0.replacing(2, with: 70000) }
            }
            model.job.others = ["dtype: float16"]
            try model.write()
            try await model.expectRefusal(
                "the bias of \"q\" of the merged checkpoint: 1 merged value is finite but beyond F16",
                "the first is element 2", "BF16 would hold it")
        }
    }
}
