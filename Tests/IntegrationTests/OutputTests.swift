import Foundation
import TestSupport
import Testing

extension SerialIntegrationTests {
    /// The effect of a job on its output directory and on the files there.
    @Suite struct OutputTests {
        private let model: SmallModel

        init() throws {
            model = try SmallModel()
            model.job.outputs = ["merged", "report"]
            try model.write()
        }

        @Test func `of two runs into one output one publishes, and the other names it`() async throws {
            let other = model.directory.appending("other.yaml")
            model.job.method = "weighted_average"
            try model.job.write(to: other)
            let arguments = ["--workers", "1", "--quiet", "--state-directory", model.directory.path]
            let (directory, path) = (model.directory, model.jobPath)
            async let first = Client.run(["run", path] + arguments, in: directory)
            async let second = Client.run(["run", other] + arguments, in: directory)
            let results = try await [first, second]
            #expect(results.map(\.exitCode).sorted() == [0, 2], "\(results.map(\.errors))")
            let refused = try #require(results.first { $0.exitCode == 2 })
            // What the second finds depends on how far the first has come.
            let reasons = [
                "that of another job, which is about to take it. ", "that of job-1 of the coordinator ", "not empty",
            ]
            #expect(
                reasons.contains { refused.errors.contains("the output directory \(model.outputPath) is \($0)") },
                "\(refused.errors)")
            #expect(
                OutputTree.paths(below: model.outputPath) == ["merged/model.safetensors", "report.html", "report.json"])
        }

        @Test(arguments: [".", "checkpoints", "captures/.."])
        func `an output that contains an input is refused, and nothing is touched`(output: String) async throws {
            model.job.output = output
            try model.write()
            try await model.expectRefusal("job.yaml:", " contains ", options: ["--overwrite"])
        }

        @Test func `an output in a directory that is an input is refused, by a link too`() async throws {
            let files = FileManager.default
            try files.createDirectory(atPath: model.directory.appending("base"), withIntermediateDirectories: false)
            try files.moveItem(
                atPath: model.directory.appending("base.safetensors"),
                toPath: model.directory.appending("base/model.safetensors"))
            try files.createSymbolicLink(
                atPath: model.directory.appending("link"), withDestinationPath: model.directory.appending("base"))
            model.job.base = "base"
            for output in ["base/out", "link/out", "base"] {
                model.job.output = output
                try model.job.write(to: model.jobPath)
                try await model.expectRefusal("job.yaml:", " lies in the base, ", options: ["--overwrite"])
            }
        }

        @Test func `strangers' files and changed ones are named before the work and stay`() async throws {
            try await model.run()
            try Data("mine".utf8).write(to: URL(fileURLWithPath: "\(model.outputPath)/merged/notes.txt"))
            try await model.expectRefusal(
                "holds \"merged/notes.txt\", which no kfacd job wrote", options: ["--overwrite"])
            try FileManager.default.removeItem(atPath: "\(model.outputPath)/merged/notes.txt")
            try Data("{}".utf8).write(to: URL(fileURLWithPath: "\(model.outputPath)/report.json"))
            try await model.expectRefusal(
                "holds \"report.json\", changed after the earlier job wrote it", options: ["--overwrite"])
        }

        @Test func `an output of an earlier version is refused with what to do`() async throws {
            try await model.run()
            try FileManager.default.removeItem(atPath: "\(model.outputPath)/.kfacd-manifest.json")
            try await model.expectRefusal(
                "holds \"merged\", \"report.html\", \"report.json\" and no .kfacd-manifest.json",
                "Remove or move them yourself",
                options: ["--overwrite"])
        }

        @Test func `a link means its target, and one that leads nowhere is refused before any work`() async throws {
            let target = model.directory.appending("target")
            try FileManager.default.createSymbolicLink(atPath: model.outputPath, withDestinationPath: target)
            let refused = try await Client.run(
                ["run", model.jobPath, "--workers", "1", "--quiet"], in: model.directory)
            #expect(refused.exitCode == 2)
            #expect(refused.errors.contains("is a link to \(target), which does not exist"), "\(refused.errors)")
            try FileManager.default.createDirectory(atPath: target, withIntermediateDirectories: false)
            try await model.run()
            #expect(OutputTree.paths(below: target) == ["merged/model.safetensors", "report.html", "report.json"])
            #expect(
                try FileManager.default.destinationOfSymbolicLink(atPath: model.outputPath) == target)
        }

        @Test(.enabled(if: Blindness.isPossible, Blindness.reason))
        func `an output that may not be written to is refused before any work, once`() async throws {
            try FileManager.default.createDirectory(atPath: model.outputPath, withIntermediateDirectories: false)
            for path in [model.directory.path] + OutputTree.paths(below: model.directory.path) {
                let full = path.hasPrefix("/") ? path : model.directory.appending(path)
                let mode = path == model.directory.path ? 0o755 : 0o644
                try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: full)
            }
            let result = try await Client.run(
                ["run", model.jobPath, "--workers", "1", "--quiet"], in: model.directory, launcher: Blindness.launcher)
            #expect(result.exitCode == 2, "\(result.errors)")
            #expect(
                result.errors.contains("nothing can be written to \(model.outputPath): this user may not do that"),
                "\(result.errors)")
            #expect(!result.errors.contains("of memory"))
        }

        @Test func `a name that is too long is refused with its place in the job file`() async throws {
            model.job.output = String(repeating: "x", count: 256)
            try model.write()
            try await model.expectRefusal("job.yaml:11:9: ", "has 256 bytes; its file system allows 255")
        }

        // MARK: - Fetching

        private func withOutputs(_ body: (Cluster, String) async throws -> Void) async throws {
            try await Cluster.with { cluster in
                try cluster.startWorker("worker")
                let job = try await cluster.submit(model.jobPath)
                try await cluster.waitForSuccess(job)
                try await body(cluster, job)
            }
        }

        @Test func `outputs that are gone or changed are named, and nothing is fetched`() async throws {
            try await withOutputs { cluster, job in
                let copy = model.directory.appending("copy")
                let report = URL(fileURLWithPath: "\(model.outputPath)/report.json")
                var bytes = try Data(contentsOf: report)
                bytes[bytes.count / 2] ^= 1
                try bytes.write(to: report)
                let changed = try await cluster.client("fetch", job, copy)
                #expect(changed.exitCode == 1)
                #expect(changed.errors.contains("report.json: is not what the job wrote"), "\(changed.errors)")
                try FileManager.default.removeItem(at: report)
                let missing = try await cluster.client("fetch", job, copy)
                #expect(missing.exitCode == 1)
                #expect(missing.errors.contains("report.json in \(model.outputPath): missing."), "\(missing.errors)")
                try FileManager.default.removeItem(atPath: model.outputPath)
                let gone = try await cluster.client("fetch", job, copy)
                #expect(gone.exitCode == 1)
                #expect(gone.errors.contains("the outputs are gone"), "\(gone.errors)")
                #expect(!FileManager.default.fileExists(atPath: copy))
            }
        }

        @Test func `fetching again replaces what was fetched, and never what others wrote`() async throws {
            try await withOutputs { cluster, job in
                let copy = model.directory.appending("copy")
                for _ in 0..<2 { #expect(try await cluster.client("fetch", job, copy).exitCode == 0) }
                try Data("mine".utf8).write(to: URL(fileURLWithPath: "\(copy)/notes.txt"))
                #expect(try await cluster.client("fetch", job, copy).exitCode == 0)
                #expect(
                    OutputTree.paths(below: copy) == [
                        "merged/model.safetensors", "notes.txt", "report.html", "report.json",
                    ])
                try Data("mine".utf8).write(to: URL(fileURLWithPath: "\(copy)/report.json"))
                let refused = try await cluster.client("fetch", job, copy)
                #expect(refused.exitCode == 2)
                #expect(refused.errors.contains("holds \"report.json\", changed"), "\(refused.errors)")
                #expect(try String(contentsOfFile: "\(copy)/report.json", encoding: .utf8) == "mine")
            }
        }
    }
}
