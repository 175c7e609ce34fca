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

        private func notices() async throws -> [String] {
            let report = try Data(contentsOf: URL(fileURLWithPath: "\(try await model.run())/report.json"))
            let object = try #require(try JSONSerialization.jsonObject(with: report) as? [String: Any])
            return try #require(object["notices"] as? [String])
        }

        @Test(arguments: ["copy", "same path"])
        func `equal checkpoints of two tasks are a notice`(kind: String) async throws {
            if kind == "copy" {
                model.checkpoints["gamma"] = model.checkpoints["alpha"]
            } else {
                model.job.tasks[0].name = "alpha"
                model.job.tasks[2].name = "gamma"
                model.job.tasks[2].model = model.job.tasks[0].model
            }
            try model.write()
            let found = try await notices().filter { $0.contains("the same weights") }
            #expect(found.count == 1)
            #expect(
                found[0].contains(
                    "the checkpoint of task \"gamma\" holds the same weights as that of task \"alpha\" ("))
            #expect(found[0].hasSuffix("both tasks have the same vector. Correct one of them unless that is meant."))
        }

        @Test func `checkpoints that differ in one number are no repetition`() async throws {
            var other = try #require(model.checkpoints["alpha"])
            other.tensors = other.tensors.map { $0.name == "embed.weight" ? $0.replacing(23, with: 9) : $0 }
            model.checkpoints["gamma"] = other
            try model.write()
            #expect(try await notices() == [])
        }

        @Test func `equal factors of two tasks are a notice`() async throws {
            model.job.output = "earlier"
            try model.write()
            try await model.run()
            model.job.output = "out"
            for task in [0, 1] {
                model.job.tasks[task].name = SmallModel.taskNames[task]
                model.job.tasks[task].captures = []
                model.job.tasks[task].factors = "earlier/factors/alpha"
            }
            model.job.tasks[2].name = "gamma"
            model.job.tasks[2].captures = []
            model.job.tasks[2].factors = "earlier/factors/gamma"
            try model.write()
            let found = try await notices().filter { $0.contains("factors of task") }
            #expect(found.count == 1)
            #expect(
                found[0].contains("the factors of task \"beta\" are the same as those of task \"alpha\" ("))
        }

        @Test func `a capture whose samples come twice is a notice`() async throws {
            let capture = try #require(model.captures["beta"])
            model.captures["beta"] = TensorFile(
                capture.tensors.map { tensor in
                    // The rows of each probe are together, with all samples twice.
                    let blocks = tensor.name.hasSuffix(".input") ? 1 : SmallModel.probes
                    let width = tensor.values.count / blocks
                    let values = (0..<blocks).flatMap { block in
                        let rows = tensor.values[block * width..<(block + 1) * width].map { Float($0) }
                        return rows + rows
                    }
                    return Tensor(tensor.name, [2 * tensor.shape[0], tensor.shape[1]], values)
                },
                metadata: capture.metadata.merging(["samples": "\(2 * SmallModel.samples)"]) { $1 })
            try model.write()
            let found = try await notices()
            #expect(found.count == 1)
            #expect(
                found[0].hasSuffix(
                    "captures/beta.safetensors: the second half of the samples repeats the first in every tensor of the "
                        + "capture. That changes no factor of the file, but task \"beta\" counts its samples twice. "
                        + "Capture them once, or set \"curvature_weight\"."))
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
