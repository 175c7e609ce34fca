import Foundation
import TestSupport
import Testing

extension SerialIntegrationTests {
    /// A coordinator that checks a job file for hours.
    @Suite struct SlowAdmissionTests {
        private let slow: SmallModel
        private let other: SmallModel

        init() throws {
            slow = try SmallModel()
            try slow.makeCheckSlow()
            other = try SmallModel(seed: 2)
        }

        private func submit(to cluster: Cluster, timeout: Int) throws -> RunningProgram {
            try RunningProgram(
                Programs.client,
                ["submit", slow.jobPath, "--coordinator", cluster.endpoint, "--timeout", "\(timeout)"],
                name: "waiting", in: cluster.directory)
        }

        @Test func `other clients are answered meanwhile, and their jobs run`() async throws {
            try await Cluster.with { cluster in
                try cluster.startWorker("w")
                try await cluster.waitForWorkers(1)
                let waiting = try submit(to: cluster, timeout: 600)
                try await slow.waitForCheck(by: cluster.coordinator)
                #expect(try await cluster.client("jobs").exitCode == 0)
                #expect(try await cluster.client("plan", other.jobPath).exitCode == 0)
                let job = try await cluster.submit(other.jobPath)
                #expect(try await cluster.client("watch", job).exitCode == 0)
                #expect(waiting.isRunning, "\(waiting.logTail)")
            }
        }

        @Test func `SIGTERM ends the coordinator, and nothing was queued`() async throws {
            try await Cluster.with { cluster in
                // The client still waits when the check has begun, and this test waits for its end.
                let waiting = try submit(to: cluster, timeout: 15)
                try await slow.waitForCheck(by: cluster.coordinator)
                cluster.coordinator.send(SIGTERM)
                #expect(try await cluster.coordinator.exitCode() == 0)
                #expect(try await waiting.exitCode() == 3, "\(waiting.logTail)")
                try await cluster.restartCoordinator()
                let jobs = try await cluster.client("jobs", "--output", "json").json
                #expect((jobs["jobs"] as? [Any])?.isEmpty == true, "\(jobs)")
            }
        }

        @Test func `a client that goes away ends its check`() async throws {
            try await Cluster.with { cluster in
                let waiting = try submit(to: cluster, timeout: 600)
                try await slow.waitForCheck(by: cluster.coordinator)
                waiting.send(SIGINT)
                #expect(try await waiting.exitCode() == 130)
                #expect(try await cluster.client("jobs").exitCode == 0)
            }
        }
    }
}
