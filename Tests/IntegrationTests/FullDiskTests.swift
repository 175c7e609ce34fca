import Foundation
import TestSupport
import Testing

extension SerialDisturbanceTests {
    /// DESIGN section 6, guarantee 6: a full disk delays a job and loses nothing.
    @Suite(.referenceRun(.manyUnits), .timeLimit(.minutes(10))) struct FullDiskTests {
        private let reference: ReferenceRun
        private let output: String
        private let job: String

        init() throws {
            reference = try #require(ReferenceRun.current)
            output = reference.model.directory.appending("out-\(UUID().uuidString)")
            job = try reference.model.writeJob(output: output)
        }

        @Test(.enabled(if: SmallDisk.isPossible, SmallDisk.reason))
        func `a job waits while the coordinator's disk is full, says so, and goes on when there is room`() async throws
        {
            let launcher = { (directory: TemporaryDirectory) in
                SmallDisk.launcher(for: directory.appending("state"), mebibytes: 64)
            }
            try await Cluster.with(startingOver: output, launcher: launcher) { cluster in
                try cluster.startWorker("worker")
                let job = try await cluster.submit(job)
                // No unit is finished while the disk fills up.
                try await cluster.holdWorkers(job, units: 12)
                let state = cluster.directory.appending("state")
                let ballast = try SmallDisk.fill(state, of: cluster.coordinator)
                cluster.resumeWorkers()
                var paused: Cluster.JobStatus?
                try await eventually("the pause of \(job)", finding: "\(paused, default: "no answer")") {
                    let status = try await cluster.status(job)
                    try #require(["running", "paused"].contains(status.state), "\(status.message)")
                    paused = status
                    return status.state == "paused"
                }
                let status = try #require(paused)
                #expect(status.message.contains(state), "\(status.message)")
                #expect(status.message.contains("full") || status.message.contains("room"), "\(status.message)")
                try FileManager.default.removeItem(at: ballast)
                try await cluster.waitForSuccess(job)
            }
            try requireSameBytes(output, reference.outputPath)
        }

        @Test(.enabled(if: SmallDisk.isPossible, SmallDisk.reason))
        func `a job that cannot be recorded is given up when the patience is at its end`() async throws {
            let launcher: (TemporaryDirectory) -> [String] = { directory in
                SmallDisk.launcher(for: directory.appending("state"), mebibytes: 64)
            }
            try await Cluster.with(startingOver: output, launcher: launcher) { cluster in
                let state = cluster.directory.appending("state")
                let ballast = try SmallDisk.fill(state, of: cluster.coordinator)
                let refused = try await cluster.client("submit", job, "--patience", "1")
                #expect(refused.exitCode == 1, "\(refused.errors)")
                #expect(refused.errors.contains("error: the job was not recorded for 1 s: "), "\(refused.errors)")
                #expect(refused.errors.contains(state), "\(refused.errors)")
                try FileManager.default.removeItem(at: ballast)
                try cluster.startWorker("worker")
                try await cluster.waitForSuccess(try await cluster.submit(job))
            }
            try requireSameBytes(output, reference.outputPath)
        }

        @Test(.enabled(if: SmallDisk.isPossible, SmallDisk.reason))
        func `a worker whose disk was full when it began works when there is room`() async throws {
            let directory = try TemporaryDirectory()
            let cache = directory.appending("cache")
            try await Cluster.with { cluster in
                let launcher = SmallDisk.launcher(for: cache, mebibytes: 256, ballast: (256 << 10) - 256)
                let worker = try cluster.startWorker(
                    "worker", launcher: launcher, options: ["--cache-directory", cache])
                let job = try await cluster.submit(job)
                try await eventually("the pause of \(job)") {
                    try await cluster.status(job).state == "paused"
                }
                try FileManager.default.removeItem(at: SmallDisk.ballast(cache, of: worker))
                try await cluster.waitForSuccess(job)
            }
            try requireSameBytes(output, reference.outputPath)
        }
    }
}
