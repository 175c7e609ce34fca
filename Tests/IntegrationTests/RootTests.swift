import Foundation
import TestSupport
import Testing

extension SerialIntegrationTests {
    /// A coordinator that may read and write only below one directory.
    @Suite struct RootTests {
        private let model: SmallModel
        private let elsewhere: TemporaryDirectory

        init() throws {
            model = try SmallModel()
            elsewhere = try TemporaryDirectory()
        }

        /// Submits the job to a coordinator with the model's directory as its root; it must refuse the job.
        private func expectRefusal(
            _ messages: String..., sourceLocation: SourceLocation = #_sourceLocation
        ) async throws {
            try await Cluster.with(options: ["--root", model.directory.path]) { cluster in
                let result = try await cluster.client("submit", model.jobPath)
                #expect(result.exitCode == 2, sourceLocation: sourceLocation)
                #expect(
                    result.errors == messages.map { "error: \($0)\n" }.joined(), sourceLocation: sourceLocation)
            }
        }

        private var advice: String {
            "outside of the roots (\(model.directory.path)); expected a path below one of them. Move the file there, or "
                + "start the daemon with a further --root."
        }

        @Test func `a job below the root runs`() async throws {
            try await Cluster.with(options: ["--root", model.directory.path]) { cluster in
                try cluster.startWorker("worker")
                try await cluster.waitForSuccess(try await cluster.submit(model.jobPath))
            }
        }

        @Test func `a base elsewhere is refused, whether it exists or not`() async throws {
            for name in ["base.safetensors", "missing.safetensors"] {
                try model.base.write(to: elsewhere.appending("base.safetensors"))
                model.job.base = elsewhere.appending(name)
                try model.write()
                try await expectRefusal(
                    "job.yaml:2:13 (base_model): \(elsewhere.appending(name)): lies \(advice)")
            }
        }

        @Test func `a link to elsewhere is refused for every input`() async throws {
            try model.base.write(to: elsewhere.appending("base.safetensors"))
            let link = model.directory.appending("link.safetensors")
            try FileManager.default.createSymbolicLink(
                atPath: link, withDestinationPath: elsewhere.appending("base.safetensors"))
            model.job.tasks[0].model = "link.safetensors"
            model.job.tasks[0].name = "alpha"
            model.job.tasks[1].captures = ["link.safetensors"]
            try model.write()
            let refusal = "\(link): a link leads \(advice)"
            try await expectRefusal(
                "job.yaml:5:12 (model): \(refusal)", "job.yaml:8:16 (captures): \(refusal)")
        }

        @Test func `a pattern does not search elsewhere`() async throws {
            model.job.tasks[0].captures = ["\(elsewhere.path)/*.safetensors"]
            try model.write()
            try await expectRefusal(
                "job.yaml:5:16 (captures): \(elsewhere.path): lies \(advice)")
        }

        @Test func `an output elsewhere, or through a link to elsewhere, is refused`() async throws {
            model.job.output = elsewhere.appending("out")
            try model.write()
            try await expectRefusal(
                "job.yaml:11:9 (output): \(elsewhere.appending("out")): lies \(advice)")
            try FileManager.default.createSymbolicLink(
                atPath: model.directory.appending("link"), withDestinationPath: elsewhere.path)
            model.job.output = "link/out"
            try model.write()
            try await expectRefusal(
                "job.yaml:11:9 (output): \(model.directory.appending("link/out")): a link leads "
                    + advice)
            #expect(try elsewhere.names() == [])
        }

        @Test func `a companion of the base that leads elsewhere is not copied into the output`() async throws {
            try elsewhere.write(Array("{\"secret\": 1}".utf8), to: "secret.json")
            try FileManager.default.createDirectory(
                atPath: model.directory.appending("base"), withIntermediateDirectories: false)
            try model.base.write(to: model.directory.appending("base/model.safetensors"))
            try FileManager.default.createSymbolicLink(
                atPath: model.directory.appending("base/tokenizer.json"),
                withDestinationPath: elsewhere.appending("secret.json"))
            model.job.base = "base"
            try model.write()
            try await Cluster.with(options: ["--root", model.directory.path]) { cluster in
                try cluster.startWorker("worker")
                let submitted = try await cluster.client("submit", model.jobPath, "--watch")
                #expect(submitted.exitCode == 0, "\(submitted.errors)")
                // The notice that the file is not copied comes before the work.
                #expect(
                    submitted.errors.contains(
                        "tokenizer.json leads out of the directories that may be read; it is not copied."),
                    "\(submitted.errors)")
                #expect(!FileManager.default.fileExists(atPath: "\(model.outputPath)/merged/tokenizer.json"))
            }
        }

        @Test(arguments: ["../x", "a/b", "..", ".hidden", "a\\\\b", "a\\u0000b", "a\\nb"])
        func `a task's name is no path`(name: String) async throws {
            model.job.tasks[0].name = "\"\(name)\""
            try model.write()
            try await model.expectRefusal(
                "cannot name a directory; expected at most 200 bytes without a path separator")
        }

        @Test(arguments: ["../x", "nobody"])
        func `a target is a task or nothing`(target: String) async throws {
            model.job.curvature = ["regularizer:", "  targets: [\"\(target)\"]"]
            try model.write()
            try await model.expectRefusal("\"\(target)\"")
        }
    }
}
