import Foundation
import TestSupport
import Testing

extension SerialDisturbanceTests {
    /// The departure of a worker that is told to stop.
    @Suite(.timeLimit(.minutes(10))) struct DrainTests {
        private let model: LargeModel
        private let output: String
        private let job: String

        init() throws {
            model = try LargeModel()
            output = model.directory.appending("out")
            job = try model.writeJob(output: output)
        }

        @Test func `a worker that drains finishes what is under way and begins nothing`() async throws {
            try await Cluster.with(startingOver: output) { cluster in
                let leaver = try cluster.startWorker("leaver")
                let job = try await cluster.submit(job)
                try await cluster.holdWorkers(job, units: 4)
                leaver.send(SIGTERM)
                cluster.resumeWorkers()
                #expect(try await leaver.exitCode() == 0, "\(leaver.logTail)")
                #expect(leaver.errors.contains("leaving"), "\(leaver.logTail)")
                try await eventually("the farewell") {
                    cluster.coordinator.errors.contains("worker left")
                }
                #expect(!cluster.coordinator.errors.contains("unit will be tried again"))
                try cluster.startWorker("heir")
                try await cluster.waitForSuccess(job)
            }
        }

        @Test func `a signal that comes twice at once, as from timeout(1), means one drain`() async throws {
            try await Cluster.with { cluster in
                let worker = try cluster.startWorker("leaver")
                try await eventually("the welcome") {
                    cluster.coordinator.errors.contains("worker joined")
                }
                for _ in 0..<2 { worker.send(SIGTERM) }
                #expect(try await worker.exitCode() == 0, "\(worker.logTail)")
            }
        }

        @Test func `an operator drains a worker by its name, and is told of a name that nobody has`() async throws {
            try await Cluster.with(startingOver: output) { cluster in
                let leaver = try cluster.startWorker("leaver")
                let job = try await cluster.submit(job)
                try await cluster.holdWorkers(job, units: 4)
                cluster.resumeWorkers()
                let wrong = try await cluster.client("drain", "lever")
                #expect(wrong.exitCode == 2)
                #expect(wrong.errors.contains("lever: there is no such worker. Known workers: leaver-"))
                #expect(try await cluster.client("drain", "leaver").exitCode == 0)
                #expect(try await leaver.exitCode() == 0, "\(leaver.logTail)")
                try cluster.startWorker("heir")
                try await cluster.waitForSuccess(job)
            }
        }

        @Test func `a second signal ends a worker at once`() async throws {
            try await Cluster.with { cluster in
                let worker = try cluster.startWorker("stubborn")
                _ = try await cluster.submit(job)
                try await eventually("a unit under way") {
                    let reply = try await cluster.client("workers", "--output", "json").json
                    let workers = try #require(reply["workers"] as? [[String: Any]])
                    return workers.contains { $0["started_units"] as? Int == 1 }
                }
                // The coordinator cannot go on, so the drain lasts until the second signal.
                cluster.coordinator.send(SIGSTOP)
                defer { cluster.coordinator.send(SIGCONT) }
                worker.send(SIGTERM)
                try await eventually("the drain") { worker.errors.contains("leaving") }
                // Late enough that the second signal does not count as an echo of the first.
                try await Task.sleep(for: .milliseconds(500))
                worker.send(SIGTERM)
                #expect(try await worker.exitCode() == 130, "\(worker.logTail)")
                #expect(worker.errors.contains("ended by a second signal"))
            }
        }
    }
}
