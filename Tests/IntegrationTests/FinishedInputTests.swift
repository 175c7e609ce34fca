import Foundation
import TestSupport
import Testing

extension SerialIntegrationTests {
    /// Inputs from earlier work: captures that are given twice, and scales of zero.
    @Suite struct FinishedInputTests {
        private let model: SmallModel

        init() throws {
            model = try SmallModel()
            model.job.outputs = ["factors", "report"]
        }

        private func captures(of task: Int, _ paths: [String]) throws {
            model.job.tasks[task].captures = paths
            try model.write()
        }

        private func path(_ name: String) -> String { model.directory.appending("captures/\(name)") }

        @Test(arguments: ["copy", "symbolic link", "hard link"])
        func `rows that a task would count twice are refused`(kind: String) async throws {
            let (source, other) = (path("alpha.safetensors"), path("alpha-again.safetensors"))
            let files = FileManager.default
            switch kind {
            case "copy": try files.copyItem(atPath: source, toPath: other)
            case "hard link": try files.linkItem(atPath: source, toPath: other)
            default: try files.createSymbolicLink(atPath: other, withDestinationPath: source)
            }
            try captures(of: 0, ["captures/alpha.safetensors", "captures/alpha-*.safetensors"])
            try await model.expectRefusal("task \"alpha\" would count them twice. Remove one of them")
        }

        @Test func `other metadata and another order of the tensors hide nothing`() async throws {
            var again = try #require(model.captures["alpha"])
            again.tensors.reverse()
            again.metadata["note"] = "the same rows"
            try again.write(to: path("again.safetensors"))
            try captures(of: 0, ["captures/alpha.safetensors", "captures/again.safetensors"])
            try await model.expectRefusal("task \"alpha\" would count them twice")
        }

        @Test func `other rows of the same layers are no repetition`() async throws {
            var more = try #require(model.captures["alpha"])
            more.tensors = more.tensors.map { $0.replacing(0, with: 0.25) }
            try more.write(to: path("more.safetensors"))
            try captures(of: 0, ["captures/alpha.safetensors", "captures/more.safetensors"])
            try await model.run()
        }

        @Test func `rows of two tasks are a notice`() async throws {
            var same = try #require(model.captures["alpha"])
            same.metadata["task"] = "beta"
            model.captures["beta"] = same
            try model.write()
            let output = try await model.run()
            let report = try String(contentsOfFile: "\(output)/report.json", encoding: .utf8)
            #expect(
                report.contains("the capture of task \\\"beta\\\" holds the same rows as that of task \\\"alpha\\\""))
        }

        @Test func `captures whose squares all vanish name the tensor and the scale`() async throws {
            try model.changeCapture("beta", "fc.output_grad") { tensor in
                Tensor(tensor.name, tensor.shape, tensor.values.map { Float($0 * 1e-25) })
            }
            try model.write()
            try await model.expectRefusal(
                "captures/beta.safetensors: tensor \"fc.output_grad\": the squares of all 72 rows vanish in float32",
                "Scale the captures up")
        }
    }
}
