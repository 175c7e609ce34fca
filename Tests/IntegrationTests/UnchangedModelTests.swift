import Foundation
import TestSupport
import Testing

extension SerialIntegrationTests {
    /// What each model contributes to a merge, and models that contribute nothing.
    @Suite struct UnchangedModelTests {
        private let model: SmallModel

        init() throws {
            model = try SmallModel()
            model.job.outputs = ["merged", "report"]
            model.job.tasks = ["alpha", "beta"].map { JobFile.Task(model: "checkpoints/\($0).safetensors") }
            try model.write()
        }

        private func run(_ options: [String] = []) async throws -> CommandResult {
            try await Client.run(
                ["run", model.jobPath, "--workers", "1", "--state-directory", model.directory.path] + options,
                in: model.directory)
        }

        @Test func `a copy of the base under another name is refused, and the earlier output stays`() async throws {
            try await model.run()
            let before = try Data(contentsOf: URL(fileURLWithPath: "\(model.outputPath)/report.json"))
            model.checkpoints["beta"] = model.base
            try model.write()
            try await model.expectRefusal(
                "checkpoints/beta.safetensors: the model of task \"beta\" contributes to no tensor: 9 of its tensors are",
                "base.safetensors. Name the model that was trained, remove the entry, or write \"allow_unchanged: [beta]\"",
                options: ["--overwrite"])
            #expect(try Data(contentsOf: URL(fileURLWithPath: "\(model.outputPath)/report.json")) == before)
        }

        @Test func `values are compared, whatever their types`() async throws {
            model.base.tensors = model.base.tensors.map {
                $0.elementType == .float32 ? $0.converted(to: .bfloat16) : $0
            }
            var same = model.base
            same.tensors = same.tensors.map { $0.elementType == .bfloat16 ? $0.converted(to: .float32) : $0 }
            model.checkpoints["beta"] = same
            try model.write()
            try await model.expectRefusal("the model of task \"beta\" contributes to no tensor: 9 of its tensors are")
        }

        @Test func `every merge ends with what each model contributed`() async throws {
            model.checkpoints["beta"] = model.base
            model.checkpoints["beta"]?.tensors += (1...7).map { Tensor("extra.\($0).weight", [1], [1]) }
            model.job.others = ["allow_unchanged: [beta]", "ignore: [\"extra.*\"]"]
            try model.write()
            let result = try await run()
            #expect(result.exitCode == 0, "\(result.errors)")
            let lines = result.output.split(separator: "\n").map { $0.split(separator: " ") }
            #expect(
                result.output.contains(
                    "merged checkpoint: 9 tensors changed, 0 unchanged, 1 copied from the base, 7 of the models unmatched"
                ))
            #expect(lines.contains(["alpha", "9", "9", "0"]))
            #expect(lines.contains(["beta", "9", "0", "7"]))
            let names = (1...5).map { "extra.\($0).weight" }
            #expect(
                result.output.contains(
                    "note: no tensor of the output has these names of beta: \(names.joined(separator: ", ")) and 2 more"
                ))
            let report = try Report.read(in: model.outputPath)
            let merge = try #require(report["merge"] as? [String: Any])
            let models = try #require(merge["models"] as? [String: [String: Any]])
            #expect(models["alpha"]?["differing"] as? Int == 9)
            #expect(models["beta"]?["differing"] as? Int == 0)
            #expect(models["beta"]?["merged"] as? Int == 9)
            #expect(models["beta"]?["unmatched"] as? Int == 7)
            #expect(models["beta"]?["unmatched_names"] as? [String] == names)
        }
    }
}
