import Foundation
import TestSupport
import Testing

extension SerialDisturbanceTests {
    /// How a worker leaves when it is told to stop.
    @Suite struct DrainTests {
        private let model: LargeModel
        private let output: String
        private let job: String

        init() throws {
            model = try LargeModel()
            output = model.directory.appending("out")
            job = try model.writeJob(output: output)
        }

        @Test func `a worker that drains finishes what is under way and begins nothing`() async throws {
            try await Cluster.with { cluster in
                let leaver = try cluster.startWorker("leaver", options: ["--drain-timeout", "60"])
                let job = try await cluster.submit(job)
                try await cluster.waitForProgress(job, units: 4)
                leaver.send(SIGTERM)
                #expect(try await leaver.exitCode(within: .seconds(30)) == 0, "\(leaver.logTail)")
                #expect(leaver.errors.contains("leaving"), "\(leaver.logTail)")
                try await eventually("the farewell", within: .seconds(10)) {
                    cluster.coordinator.errors.contains("worker left")
                }
                #expect(!cluster.coordinator.errors.contains("unit will be tried again"))
                try cluster.startWorker("heir")
                try await cluster.waitForSuccess(job)
            }
        }

        @Test func `a second signal ends a worker at once`() async throws {
            try await Cluster.with { cluster in
                let worker = try cluster.startWorker("stubborn", options: ["--drain-timeout", "600"])
                _ = try await cluster.submit(job)
                try await eventually("a unit under way", within: .seconds(20)) {
                    let reply = try await cluster.client("workers", "--output", "json").json
                    let workers = try #require(reply["workers"] as? [[String: Any]])
                    return workers.contains { $0["started_units"] as? Int == 1 }
                }
                // It cannot go on, so that the drain lasts until the second signal.
                cluster.coordinator.send(SIGSTOP)
                defer { cluster.coordinator.send(SIGCONT) }
                worker.send(SIGTERM)
                try await eventually("the drain", within: .seconds(10)) { worker.errors.contains("leaving") }
                worker.send(SIGTERM)
                #expect(try await worker.exitCode(within: .seconds(10)) == 130, "\(worker.logTail)")
                #expect(worker.errors.contains("ended by a second signal"))
            }
        }
    }
}
