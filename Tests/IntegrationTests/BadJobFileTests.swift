import Foundation
import TestSupport
import Testing

extension SerialIntegrationTests {
    /// Faults of a job file are reported with their line, before any work, and leave nothing behind.
    @Suite struct BadJobFileTests {
        private let model: SmallModel

        init() throws { model = try SmallModel() }

        @Test func `a job file that does not exist is named`() async throws {
            try FileManager.default.removeItem(atPath: model.jobPath)
            try await model.expectRefusal("\(model.jobPath): there is no such job file.")
        }

        @Test func `a misspelt key is told with its line and the nearest key`() async throws {
            model.job.others = ["ouptut_dtype: float16", "paramters: {lambda: 0.5}"]
            try model.write()
            try await model.expectRefusal(
                "job.yaml:12:1: unknown key \"ouptut_dtype\"",
                "job.yaml:13:1: unknown key \"paramters\" in the job. Did you mean \"parameters\"?")
        }

        @Test func `a misspelt key below another one is told with its line and the nearest key`() async throws {
            model.job.curvature = ["normalisation: tak"]
            try model.write()
            try await model.expectRefusal(
                "job.yaml:11:3: unknown key \"normalisation\" in \"kfac\". Did you mean \"normalization\"?")
        }

        @Test func `a pattern that matches no file is told with its line`() async throws {
            model.job.tasks[1].captures = ["captures/beta-*.safetensors"]
            try model.write()
            try await model.expectRefusal(
                "job.yaml:7:", "the pattern \"captures/beta-*.safetensors\" of task \"beta\" matches no file",
                model.directory.appending("captures/beta-*.safetensors"))
        }

        @Test func `a pattern that matches no layer is told with its line`() async throws {
            model.job.curvature = ["layers: [\"q\", \"blocks.*\"]"]
            try model.write()
            try await model.expectRefusal(
                "job.yaml:11:17: the pattern \"blocks.*\" of \"layers\" matches none of the 5 captured")
        }

        @Test func `two tasks of one name are told with both lines`() async throws {
            model.job.tasks[2].name = "alpha"
            try model.write()
            try await model.expectRefusal(
                "job.yaml:8:", "two tasks are named \"alpha\"; the other stands at job.yaml:4:")
        }

        @Test func `a task name with a path separator is refused`() async throws {
            model.job.tasks[0].name = "../../elsewhere"
            try model.write()
            try await model.expectRefusal(
                "job.yaml:4:11: the task name \"../../elsewhere\" cannot name a directory")
        }

        @Test func `all problems of the keys are reported in one run`() async throws {
            model.job.method = "kfca"
            model.job.tasks[0].others = ["parameters: {wieght: 2}"]
            model.job.tasks[1].name = "a/b"
            model.job.curvature = ["damping: {rule: pie, value: -1}"]
            model.job.outputs = ["mergd"]
            try model.write()
            try await model.expectRefusal(
                "\"merge_method\" must be one of", "Did you mean \"kfac\"?", "unknown key \"wieght\"",
                "the task name \"a/b\"", "Did you mean \"pi\"?", "Did you mean \"merged\"?")
        }

        @Test func `all problems of the files are reported in one run`() async throws {
            model.job.base = "bass.safetensors"
            model.captures["beta"]?.metadata["samples"] = "0"
            model.captures["gamma"]?.metadata["samples"] = nil
            try model.write()
            try Data("no tensors".utf8).write(
                to: URL(fileURLWithPath: model.directory.appending("checkpoints/alpha.safetensors")))
            try await model.expectRefusal(
                "bass.safetensors: No such file or directory", "checkpoints/alpha.safetensors:",
                "captures/beta.safetensors:",
                "captures/gamma.safetensors: metadata \"samples\" is missing")
        }
    }
}
