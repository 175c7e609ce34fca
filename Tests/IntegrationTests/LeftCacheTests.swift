import Foundation
import TestSupport
import Testing

extension SerialIntegrationTests {
    /// A worker that finds the caches of other workers.
    @Suite struct LeftCacheTests {
        @Test func `the cache of a worker that was killed goes with the start of another, one in use does not`()
            async throws
        {
            let temporary = try TemporaryDirectory()
            let environment = ["TMPDIR": temporary.path]
            func caches() throws -> Set<String> {
                Set(try FileManager.default.contentsOfDirectory(atPath: temporary.path))
            }
            try await Cluster.with { cluster in
                let killed = try cluster.startWorker("killed", environment: environment)
                try await cluster.waitForWorkers(1)
                let abandoned = try caches()
                #expect(abandoned.count == 1)
                killed.send(SIGKILL)
                _ = try await killed.exitCode()
                #expect(try caches() == abandoned)

                let second = try cluster.startWorker("second", environment: environment)
                try await eventually("the second worker") {
                    cluster.coordinator.errors.contains("worker joined worker=second")
                }
                let inUse = try caches()
                #expect(inUse.count == 1)
                #expect(inUse.isDisjoint(with: abandoned))

                try cluster.startWorker("third", environment: environment)
                try await eventually("the third worker") {
                    cluster.coordinator.errors.contains("worker joined worker=third")
                }
                #expect(try caches().count == 2)
                #expect(try caches().isSuperset(of: inUse))
                #expect(second.isRunning)
            }
        }
    }
}
