import Foundation
import TestSupport
import Testing

extension SerialIntegrationTests {
    /// `kfacctl publish`: the end of a job whose files were computed and could not get their names.
    @Suite struct KeptPublicationTests {
        private let model: SmallModel

        init() throws { model = try SmallModel() }

        private var stranger: String { "\(model.outputPath)/report.json" }

        /// Runs a job into whose output somebody writes a file after the job was accepted.
        ///
        /// - Returns: The directory that the job's failure names.
        private func keep(_ cluster: Cluster) async throws -> String {
            // Without a worker the job waits.
            let job = try await cluster.submit(model.jobPath)
            try Data("mine".utf8).write(to: URL(fileURLWithPath: stranger))
            try cluster.startWorker("worker")
            var message = ""
            try await eventually("the end of \(job)") {
                let status = try await cluster.status(job)
                message = status.message
                return status.state != "running"
            }
            let match = try #require(message.firstMatch(of: /"kfacctl publish ([^"]+)"/), "\(message)")
            #expect(message.contains("report.json"), "\(message)")
            let log = cluster.coordinator.errors
            #expect(log.contains(" outcome=failed") && !log.contains("UnitFailure"), "\(log)")
            return String(match.1)
        }

        private func publish(_ directory: String, launcher: [String] = []) async throws -> CommandResult {
            try await Client.run(["publish", directory], in: model.directory, launcher: launcher)
        }

        @Test func `what was kept is published when nothing is in the way, with the same bytes, and once`() async throws
        {
            let expected = model.directory.appending("expected")
            try FileManager.default.moveItem(atPath: try await model.run(), toPath: expected)
            try await Cluster.with { cluster in
                let kept = try await keep(cluster)
                let refused = try await publish(kept)
                #expect(refused.exitCode == 1)
                #expect(
                    refused.errors.contains("holds \"report.json\"") && refused.output.isEmpty, "\(refused.errors)")
                #expect(try String(contentsOfFile: stranger, encoding: .utf8) == "mine")
                #expect(FileManager.default.fileExists(atPath: kept))
                try FileManager.default.removeItem(atPath: stranger)
                let published = try await publish(kept)
                #expect(published.exitCode == 0, "\(published.errors)")
                #expect(published.output == "outputs: \(model.outputPath)\n")
                let again = try await publish(kept)
                #expect(again.exitCode == 1)
                #expect(
                    again.errors == "error: \(kept): nothing is kept there that a job computed and could not publish. "
                        + "Name the directory that the failure of the job named.\n")
            }
            try requireSameBytes(model.outputPath, expected)
        }

        @Test func `a directory that keeps nothing is refused and stays as it is`() async throws {
            try await model.run()
            let before = try OutputTree(model.outputPath)
            for place in [model.outputPath, model.directory.appending("missing"), model.jobPath] {
                let result = try await publish(place)
                #expect(result.exitCode == 1)
                #expect(result.errors.hasPrefix("error: \(place): nothing is kept there"), "\(result.errors)")
            }
            #expect(try OutputTree(model.outputPath) == before)
        }

        @Test func `an output that another job has is not published into before that job ends`() async throws {
            try await Cluster.with { cluster in
                let kept = try await keep(cluster)
                try FileManager.default.removeItem(atPath: stranger)
                for worker in cluster.workers { try await worker.stop() }
                model.job.curvature = ["damping: {rule: absolute, value: 0.5}"]
                try model.job.write(to: model.jobPath)
                let job = try await cluster.submit(model.jobPath)
                let refused = try await publish(kept)
                #expect(refused.exitCode == 1)
                #expect(
                    refused.errors.contains("is that of \(job) of the coordinator "), "\(refused.errors)")
                #expect(try await cluster.client("cancel", job).exitCode == 0)
                try await eventually("a free output") {
                    try await publish(kept).exitCode == 0
                }
            }
        }

        @Test(.enabled(if: Blindness.isPossible, Blindness.reason))
        func `who may not write there is told so in words, and nothing is touched`() async throws {
            try await Cluster.with { cluster in
                let kept = try await keep(cluster)
                try FileManager.default.removeItem(atPath: stranger)
                for place in [model.directory.path, model.outputPath] {
                    try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: place)
                }
                let refused = try await publish(kept, launcher: Blindness.launcher)
                #expect(refused.exitCode == 1)
                #expect(refused.errors.contains("this user may not do that"), "\(refused.errors)")
                #expect(!refused.errors.contains("errno"), "\(refused.errors)")
                #expect(try await publish(kept).exitCode == 0)
            }
        }
    }
}
