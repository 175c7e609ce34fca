import Foundation
import TestSupport
import Testing

extension SerialIntegrationTests {
    /// The cost of one more task for real daemons, in bytes on the wire and in units.
    @Suite struct IncrementalRunTests {
        private static let pages = ["KFACD_HTTP": "127.0.0.1:0"]
        private static let size = LargeModel.Size.fewRows

        private let model: LargeModel
        private let outputs: TemporaryDirectory

        init() throws {
            model = try LargeModel(Self.size, tasks: (1...9).map { "task-\($0)" })
            outputs = try TemporaryDirectory()
        }

        /// The path of a new output directory.
        private func newOutput() -> String { outputs.appending("out-\(UUID().uuidString)") }

        // MARK: - The wire

        /// Runs a job on two workers with a new coordinator, and returns the bytes that they sent to the coordinator.
        ///
        /// A client asks again and again, the more often the slower the machine is, so its bytes do not count.
        ///
        /// - Parameters:
        ///   - tasks: The number of tasks.
        ///   - outputs: The job's outputs.
        ///   - seesOutput: Whether the workers may write in the output directory.
        /// - Returns: The bytes.
        /// - Throws: ``WaitError``, and what the cluster throws.
        private func receivedBytes(tasks: Int, outputs: [String], seesOutput: Bool = false) async throws -> Double {
            let job = try model.writeCurvatureJob(tasks: tasks, outputs: outputs, output: newOutput())
            var received = 0.0
            try await Cluster.with(environment: Self.pages) { cluster in
                let workers = ["left", "right"]
                let options = seesOutput ? [] : ["--root", model.directory.path]
                for name in workers { try cluster.startWorker(name, options: options) }
                try await cluster.waitForWorkers(2)
                let port = try await cluster.coordinator.statusPort()
                func bytesOfWorkers() throws -> Double {
                    let page = try HTTPReply(get: "/metrics", port: port)
                    return try workers.reduce(0) {
                        $0 + (try page.value("kfacd_network_receive_bytes_total{peer=\"\($1)\"}"))
                    }
                }
                let before = try bytesOfWorkers()
                let run = try await cluster.client("submit", job, "--watch")
                try #require(run.exitCode == 0, "\(run.errors)")
                received = try bytesOfWorkers() - before
            }
            return received
        }

        /// The bytes of a task's factors: a factor is sent as its lower triangle in fp32.
        private var factors: Double { Double(Self.size.factorDimensions.map { 4 * $0 * ($0 + 1) / 2 }.reduce(0, +)) }

        @Test func `workers that may write in the output directory send no factors`() async throws {
            let received = try await receivedBytes(
                tasks: 2, outputs: ["factors"], seesOutput: true)
            print("bytes that the coordinator received: \(Int(received)); a task's factors: \(Int(factors))")
            #expect(received < 0.1 * factors)
        }

        @Test func `the bytes that the coordinator receives do not grow with the number of tasks`() async throws {
            var sums: [Int: Double] = [:]
            for tasks in [2, 4, 8] {
                sums[tasks] = try await receivedBytes(tasks: tasks, outputs: ["regularizer", "report"])
            }
            let (two, four, eight) = (try #require(sums[2]), try #require(sums[4]), try #require(sums[8]))
            print("bytes that the coordinator received: \(Int(two)), \(Int(four)), \(Int(eight)) for 2, 4, 8 tasks")
            #expect(two >= factors)
            for received in [two, four, eight] { #expect(received < 1.1 * factors, "\(sums)") }
            #expect(eight < 1.1 * two)
            // The control: here the factors of every task are output files, so every one of them is sent.
            for tasks in [2, 8] {
                let received = try await receivedBytes(tasks: tasks, outputs: ["factors", "regularizer", "report"])
                #expect(received >= Double(tasks + 1) * factors)
            }
        }

        // MARK: - Units

        /// The units of each stage in the output of `kfacctl plan`.
        private func plannedUnits(_ cluster: Cluster, _ job: String) async throws -> [String: (all: Int, known: Int)] {
            let result = try await cluster.client("plan", job, "--output", "json")
            try #require(result.exitCode == 0, "\(result.errors)")
            let stages = try #require(try result.json["stages"] as? [[String: Any]])
            var units: [String: (all: Int, known: Int)] = [:]
            for stage in stages {
                units[try #require(stage["stage"] as? String)] = (
                    try #require(stage["units"] as? Int), try #require(stage["known_units"] as? Int)
                )
            }
            return units
        }

        /// The number of computed units of each worker stage, from a daemon's metrics.
        private func computedUnits(port: UInt16) throws -> [String: Int] {
            let page = try HTTPReply(get: "/metrics", port: port)
            var units: [String: Int] = [:]
            for stage in ["factor", "combine", "import", "accumulate", "invert", "penalty", "merge"] {
                let series = "kfacd_unit_duration_seconds_count{stage=\"\(stage)\"}"
                // A stage without a computed unit has no series yet.
                if page.body.contains("\n\(series) ") { units[stage] = Int(try page.value(series)) }
            }
            #expect(try page.value("kfacd_units_revived_total") == 0)
            return units
        }

        /// The number of blobs of each worker, as the coordinator knows it.
        private func heldBlobs(_ cluster: Cluster) async throws -> [String: Int] {
            let workers = try await cluster.workerStatuses()
            return Dictionary(uniqueKeysWithValues: workers.map { ($0.name, $0.heldBlobs) })
        }

        @Test func `a ninth task costs its own factors and the sums only, even after a restart`() async throws {
            let outputs = ["factors", "regularizer", "inverses", "report"]
            let (warm, cold) = (newOutput(), newOutput())
            let eight = try model.writeCurvatureJob(tasks: 8, outputs: outputs, output: newOutput())
            let nine = try model.writeCurvatureJob(tasks: 9, outputs: outputs, output: warm)
            let factors = Self.size.factorDimensions.count
            try await Cluster.with(environment: Self.pages) { cluster in
                for name in ["left", "right"] { try cluster.startWorker(name) }
                try await cluster.waitForWorkers(2)
                try await cluster.waitForSuccess(try await cluster.submit(eight))
                #expect(
                    try computedUnits(port: try await cluster.coordinator.statusPort())
                        == ["factor": 8 * factors, "accumulate": factors, "invert": factors])

                // The results are in the coordinator's journal, and the blobs are on the workers. The workers find the
                // coordinator again, and report their blobs after the welcome.
                let held = try await heldBlobs(cluster)
                try #require(held.values.reduce(0, +) > 0)
                try await cluster.restartCoordinator()
                var found: [String: Int] = [:]
                try await eventually("all that the workers hold", finding: "\(found) of \(held)") {
                    found = try await heldBlobs(cluster)
                    return found.count == held.count && held.allSatisfy { found[$0.key, default: 0] >= $0.value }
                }
                let plan = try await plannedUnits(cluster, nine)
                #expect(plan["factor"]?.all == 9 * factors)
                #expect(plan["factor"]?.known == 8 * factors)
                for stage in ["accumulate", "invert"] {
                    #expect(plan[stage]?.all == factors)
                    #expect(plan[stage]?.known == 0)
                }

                try await cluster.waitForSuccess(try await cluster.submit(nine))
                let computed = try computedUnits(port: try await cluster.coordinator.statusPort())
                #expect(computed == ["factor": factors, "accumulate": factors, "invert": factors])
                for (stage, count) in computed {
                    let units = try #require(plan[stage])
                    #expect(count == units.all - units.known, "\(stage)")
                }
            }
            let job = try model.writeCurvatureJob(tasks: 9, outputs: outputs, output: cold)
            try await Client.runJob(job, workers: 2, in: model.directory, options: ["--quiet"])
            try requireSameBytes(warm, cold)
        }
    }
}
