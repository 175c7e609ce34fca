import Foundation
import TestSupport
import Testing

extension SerialIntegrationTests {
    /// Workers whose linear algebra rounds differently.
    @Suite struct MixedClusterTests {
        private let model: LargeModel
        private let factors = LargeModel.Size.fewRows.factorDimensions.count

        init() throws { model = try LargeModel(.fewRows, tasks: ["a", "b"]) }

        /// The kernel sets of the connected workers.
        private func kernels(_ cluster: Cluster) async throws -> [String] {
            let result = try await cluster.client("workers", "--output", "json")
            try #require(result.exitCode == 0, "\(result.errors)")
            let workers = try #require(try result.json["workers"] as? [[String: Any]])
            #expect(workers.allSatisfy { $0["elements"] as? String == "fp32" })
            return workers.compactMap { $0["kernels"] as? String }
        }

        /// The count of a job's factors that are known.
        private func knownFactors(_ cluster: Cluster, _ job: String) async throws -> Int {
            let result = try await cluster.client("plan", job, "--output", "json")
            try #require(result.exitCode == 0, "\(result.errors)")
            let stages = try #require(try result.json["stages"] as? [[String: Any]])
            return try #require(stages.first { $0["stage"] as? String == "factor" }?["known_units"] as? Int)
        }

        /// The units by kernel set and stage, from a report.
        private func reportedUnits(_ output: String) throws -> [String: [String: Int]] {
            let report = try Report.read(in: output)
            let run = try #require(report["run"] as? [String: Any])
            let regimes = try #require(run["numeric_regimes"] as? [[String: Any]])
            return try Dictionary(
                uniqueKeysWithValues: regimes.map { regime in
                    (
                        try #require(regime["kernels"] as? String),
                        try #require(regime["units"] as? [String: Int])
                    )
                })
        }

        private func job(tasks: Int, outputs: [String]) throws -> (path: String, output: String) {
            let output = model.directory.appending("out-\(UUID().uuidString)")
            return (try model.writeCurvatureJob(tasks: tasks, outputs: outputs, output: output), output)
        }

        @Test func `results of another regime are not taken, and the report says which regimes made what`() async throws
        {
            let alone = try job(tasks: 1, outputs: ["factors", "report"])
            let both = try job(tasks: 2, outputs: ["factors", "report"])
            let mixed = try job(tasks: 2, outputs: ["regularizer", "report"])
            try await Cluster.with(isLasting: true) { cluster in
                let first = try cluster.startWorker("first", environment: ["OPENBLAS_CORETYPE": "Haswell"])
                try await cluster.waitForWorkers(1)
                try await cluster.waitForSuccess(try await cluster.submit(alone.path))
                let old = try #require(try await kernels(cluster).first)
                #expect(try reportedUnits(alone.output) == [old: ["factor": factors]])
                #expect(try await knownFactors(cluster, both.path) == factors)

                first.send(SIGTERM)
                try await cluster.waitForWorkers(0)
                try cluster.startWorker("second", environment: ["OPENBLAS_CORETYPE": "Nehalem"])
                try await cluster.waitForWorkers(1)
                let new = try #require(try await kernels(cluster).first)
                // A BLAS that was built for one processor has only one kernel set.
                guard new != old else { return }
                #expect(try await knownFactors(cluster, both.path) == 0)
                try await cluster.waitForSuccess(try await cluster.submit(both.path))
                #expect(try reportedUnits(both.output)[new]?["factor"] == 2 * factors)
                #expect(try reportedUnits(both.output).count == 1)

                // The blobs of the first regime left with their worker. Either worker may make them again.
                try cluster.startWorker("third", environment: ["OPENBLAS_CORETYPE": "Haswell"])
                try await cluster.waitForWorkers(2)
                #expect(try await knownFactors(cluster, mixed.path) > 0)
                try await cluster.waitForSuccess(try await cluster.submit(mixed.path))
                let reported = try reportedUnits(mixed.output)
                #expect(Set(reported.keys).isSubset(of: [old, new]))
                #expect(reported.values.reduce(0) { $0 + ($1["factor"] ?? 0) } == 2 * factors)
            }
        }
    }
}
