import Foundation
import TestSupport
import Testing

extension SerialDisturbanceTests {
    /// Whatever happens to processes and connections at any moment, the files have the same bytes.
    @Suite(.referenceRun(.manyUnits), .timeLimit(.minutes(10 * max(1, ChaosSettings.rounds)))) struct ChaosTests {
        /// How often a round without a disturbance is run again.
        private static let attemptsMax = 3

        private let reference: ReferenceRun

        init() throws { reference = try #require(ReferenceRun.current) }

        /// Runs the rounds of a test.
        ///
        /// - Throws: The error of the first failed round. An issue records its seed and its disturbances.
        private func endure(
            _ title: String, _ layout: SupervisedCluster.Layout, _ scope: ChaosSchedule.Scope,
            sourceLocation: SourceLocation = #_sourceLocation
        ) async throws {
            var counts = ChaosCounts()
            for seed in ChaosSettings.seed..<ChaosSettings.seed + ChaosSettings.rounds {
                var done = ChaosCounts()
                // On a busy machine the job may end before the first disturbance.
                for _ in 0..<Self.attemptsMax where done.isEmpty {
                    done = try await endureRound(title, layout, scope, seed: seed, sourceLocation)
                }
                try #require(
                    !done.isEmpty,
                    "CHAOS_SEED=\(seed): \(Self.attemptsMax) times the job was over before anything was done to it",
                    sourceLocation: sourceLocation)
                counts += done
            }
            print(counts.summary(title, seed: ChaosSettings.seed))
        }

        /// Runs a job on a new cluster.
        ///
        /// - Returns: The disturbances.
        private func endureRound(
            _ title: String, _ layout: SupervisedCluster.Layout, _ scope: ChaosSchedule.Scope, seed: UInt64,
            _ sourceLocation: SourceLocation
        ) async throws -> ChaosCounts {
            let cluster = try await SupervisedCluster(layout)
            let output = reference.model.directory.appending("out-\(UUID().uuidString)")
            let run = ChaosRun(
                cluster, jobFile: try reference.model.writeJob(output: output),
                schedule: ChaosSchedule(seed: seed, scope))
            do {
                let counts = try await run.run()
                try await cluster.end()
                try requireReferenceBytes(output)
                if let logs = ChaosSettings.logDirectory { try cluster.keepLogs(in: "\(logs)/\(title)-\(seed)") }
                return counts
            } catch {
                if let logs = ChaosSettings.logDirectory { try cluster.keepLogs(in: "\(logs)/\(title)-\(seed)") }
                let history = run.history.joined(separator: "\n")
                Issue.record(
                    "CHAOS_SEED=\(seed): \(error)\n\(history)\n\(cluster.logTails)", sourceLocation: sourceLocation)
                throw error
            }
        }

        private func requireReferenceBytes(_ output: String) throws {
            try requireSameBytes(output, reference.outputPath)
            // Directories are compared too, so that no staging directory is left.
            let trees = [output, reference.outputPath].map { path in
                Set(FileManager.default.enumerator(atPath: path)?.compactMap { $0 as? String } ?? [])
            }
            try #require(trees[0] == trees[1])
            try FileManager.default.removeItem(atPath: output)
        }

        @Test func `daemons that are killed at random moments change no byte`() async throws {
            try await endure(
                "kills", SupervisedCluster.Layout(workers: 3),
                ChaosSchedule.Scope(daemons: 4, kills: true, timeout: SupervisedCluster.workerTimeout))
        }

        @Test func `daemons that are stopped for a while at random moments change no byte`() async throws {
            try await endure(
                "stops", SupervisedCluster.Layout(workers: 3),
                ChaosSchedule.Scope(daemons: 4, stops: true, timeout: SupervisedCluster.workerTimeout))
        }

        @Test func `connections that break in every way change no byte`() async throws {
            try await endure(
                "lines", SupervisedCluster.Layout(workers: 3, hasLines: true),
                ChaosSchedule.Scope(lines: 4, timeout: SupervisedCluster.workerTimeout))
        }

        @Test func `everything at once changes no byte`() async throws {
            try await endure(
                "all", SupervisedCluster.Layout(workers: 4, hasLines: true),
                ChaosSchedule.Scope(
                    daemons: 5, lines: 5, kills: true, stops: true, timeout: SupervisedCluster.workerTimeout))
        }

        @Test(.enabled(if: NetworkHosts.arePossible, NetworkHosts.reason))
        func `hosts that are cut off for shorter and for longer than a worker may be silent change no byte`()
            async throws
        {
            try await endure(
                "hosts", SupervisedCluster.Layout(workers: 3, hosts: try NetworkHosts(count: 4)),
                ChaosSchedule.Scope(daemons: 4, hosts: 4, kills: true, timeout: SupervisedCluster.workerTimeout))
        }

        @Test(.enabled(if: NetworkHosts.canBeImpaired, NetworkHosts.impairmentReason))
        func `a network that delays and loses packets changes no byte`() async throws {
            let hosts = try NetworkHosts(count: 3)
            try hosts.impair(delayMilliseconds: 20, lossPercent: 2)
            try await endure(
                "loss", SupervisedCluster.Layout(workers: 2, hosts: hosts),
                ChaosSchedule.Scope(hosts: 3, timeout: SupervisedCluster.workerTimeout))
        }
    }
}
