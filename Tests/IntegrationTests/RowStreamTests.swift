import Foundation
import Identifiers
import TestSupport
import Testing
import WireProtocol

extension SerialIntegrationTests {
    /// Rows that clients stream to workers, and jobs that use their sums.
    @Suite(.timeLimit(.minutes(20))) struct RowStreamTests: RowStreamSuite {
        let model: SmallModel

        init() throws {
            model = try SmallModel()
            model.job.outputs = ["factors", "report"]
        }

        // MARK: - Comparison

        private func tensors(_ output: String, _ task: String) throws -> [Tensor] {
            try TensorFile(reading: model.directory.appending("\(output)/factors/\(task)/factors.safetensors")).tensors
        }

        private func expectClose(_ output: String, to other: String, _ task: String) throws {
            let (found, expected) = (try tensors(output, task), try tensors(other, task))
            try #require(found.map(\.name) == expected.map(\.name))
            for (found, expected) in zip(found, expected) {
                #expect(relativeDistance(found.values, expected.values) < 1e-6, "\(task) \(found.name)")
            }
        }

        /// Compares factors with sums that the test computes in float64.
        private func expectTrue(_ output: String, _ task: String, _ normalization: String) throws {
            let sums = PartialSums(capture: try #require(model.captures[task]), normalization: normalization)
            let found = Dictionary(uniqueKeysWithValues: try tensors(output, task).map { ($0.name, $0) })
            for (name, elements) in try sums.sums(of: 0..<SmallModel.samples) {
                let factor = try #require(found[name])
                let dimension = factor.shape[0]
                let triangle = (0..<dimension).flatMap { row in
                    (0...row).map { factor.values[row * dimension + $0] }
                }
                let expected = elements.map { $0 / sums.divisor(of: name) }
                #expect(relativeDistance(triangle, expected) < 1e-5, "\(task) \(name)")
            }
        }

        /// Compares the scalars that balance layers.
        private func expectBalances(_ found: TensorFile, _ expected: TensorFile) throws {
            func balances(_ file: TensorFile) throws -> [String: Double] {
                let text = try #require(file.metadata["balance"])
                return try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Double])
            }
            let (found, expected) = (try balances(found), try balances(expected))
            #expect(found.keys.sorted() == expected.keys.sorted() && !expected.isEmpty)
            for (layer, value) in expected {
                TestSupport.expectClose(found[layer] ?? 0, value, relative: 1e-5)
            }
        }

        private func submit(_ cluster: Cluster, into output: String) async throws {
            try use({ "run:\($0)" }, output: output)
            let result = try await cluster.client("submit", model.jobPath, "--watch")
            try #require(result.exitCode == 0, "\(result.errors)")
        }

        private func capture(_ task: String) -> String { model.directory.appending("captures/\(task).safetensors") }

        // MARK: - Truth

        @Test(arguments: [1, 2, 4], ["tak", "reduce"])
        func `streamed rows give the factors of the captures, the same bytes from 1 and 3 workers`(
            ranks: Int, normalization: String
        ) async throws {
            model.job.curvature = ["normalization: \(normalization)"]
            _ = try await model.run(to: "captured")
            for workers in [1, 3] {
                try await Cluster.with { cluster in
                    try await startRowWorkers(workers, cluster)
                    try await streamAll(cluster, ranks: ranks, normalization: normalization)
                    let runs = try await runs(cluster)
                    #expect(runs.allSatisfy { $0["files"] as? Int == ranks && $0["complete"] as? Bool == true })
                    try await submit(cluster, into: "streamed\(workers)")
                }
            }
            #expect(try factors("streamed1") == factors("streamed3"))
            for task in SmallModel.taskNames {
                try expectClose("streamed1", to: "captured", task)
                try expectTrue("streamed1", task, normalization)
            }
        }

        @Test func `exact traces are those of the captures, from any number of ranks`() async throws {
            model.job.curvature = ["normalization: expand", "regularizer: {balance: trace}"]
            _ = try await model.run(to: "captured")
            try await Cluster.with { cluster in
                try await startRowWorkers(1, cluster)
                try await streamAll(cluster, ranks: 2, normalization: "tak", ["--balance"])
                try await submit(cluster, into: "streamed")
            }
            for task in SmallModel.taskNames {
                let files = try ["streamed", "captured"].map { output in
                    try TensorFile(
                        reading: model.directory.appending("\(output)/factors/\(task)/factors.safetensors"))
                }
                try expectBalances(files[0], files[1])
            }
        }

        @Test(arguments: [Tensor.ElementType.bfloat16, .float16])
        func `rows of 2 bytes are sent as they are`(type: Tensor.ElementType) async throws {
            model.convertCaptures(to: type)
            _ = try await model.run(to: "captured") { _ in }
            try await Cluster.with { cluster in
                try await startRowWorkers(2, cluster)
                for task in SmallModel.taskNames { try await requireStream(cluster, [capture(task)], run: task) }
                try await submit(cluster, into: "streamed")
            }
            for task in SmallModel.taskNames {
                try expectClose("streamed", to: "captured", task)
                try expectTrue("streamed", task, "tak")
            }
        }

        @Test(arguments: ["tak", "reduce"])
        func `samples of different lengths and experts without rows are streamed`(normalization: String) async throws {
            var routed = try RoutedModel()
            routed.job.outputs = ["factors", "report"]
            routed.job.curvature = [
                "normalization: \(normalization)", "missing_curvature: renormalize",
                "regularizer: {balance: trace}",
            ]
            let captured = try await routed.run("captured")
            try await Cluster.with { cluster in
                try await startRowWorkers(1, cluster)
                for (index, task) in RoutedModel.tasks.enumerated() {
                    let paths = [0, 1].map { routed.directory.appending("captures/\(task)-\($0).safetensors") }
                    let result = try await Client.run(
                        ["push", "--quiet", "--rows", "--balance"] + paths + [
                            "--run", task, "--normalization", normalization, "--base",
                            routed.directory.appending("base.safetensors"),
                        ], in: cluster.directory, environment: ["KFACD_COORDINATOR": cluster.endpoint])
                    try #require(result.exitCode == 0, "\(result.errors)")
                    routed.job.tasks[index].captures = []
                    routed.job.tasks[index].factors = "run:\(task)"
                }
                routed.job.output = "streamed"
                let path = routed.directory.appending("job.yaml")
                try routed.job.write(to: path)
                let result = try await cluster.client("submit", path, "--watch")
                try #require(result.exitCode == 0, "\(result.errors)")
            }
            for task in RoutedModel.tasks {
                let name = "factors/\(task)/factors.safetensors"
                let expected = try TensorFile(reading: "\(captured)/\(name)")
                let found = try TensorFile(reading: routed.directory.appending("streamed/\(name)"))
                try #require(found.tensors.map(\.name) == expected.tensors.map(\.name))
                try expectBalances(found, expected)
                for (found, expected) in zip(found.tensors, expected.tensors) {
                    #expect(relativeDistance(found.values, expected.values) < 1e-6, "\(task) \(found.name)")
                }
            }
        }

        @Test(arguments: ["tak", "reduce"])
        func `ids of an embedding are one row, and B of a head is a diagonal`(normalization: String) async throws {
            var tied = try TiedModel()
            tied.job.outputs = ["factors", "report"]
            tied.job.curvature = ["normalization: \(normalization)", "regularizer: {targets: all, balance: trace}"]
            for task in TiedModel.tasks {
                var captures = try tied.captures(of: task)
                captures.metadata["diagonal"] = #"["lm_head.B"]"#
                try captures.write(to: tied.directory.appending("\(task)-captures.safetensors"))
            }
            let path = tied.directory.appending("job.yaml")
            tied.job.output = "captured"
            try tied.job.write(to: path)
            try await Client.runJob(path, workers: 1, in: tied.directory, options: ["--quiet"])
            try await Cluster.with { cluster in
                try await startRowWorkers(1, cluster)
                for (index, task) in TiedModel.tasks.enumerated() {
                    let result = try await Client.run(
                        [
                            "push", "--quiet", "--rows", "--balance",
                            tied.directory.appending("\(task)-captures.safetensors"), "--run", task, "--normalization",
                            normalization, "--base",
                            tied.directory.appending("base.safetensors"),
                        ], in: cluster.directory, environment: ["KFACD_COORDINATOR": cluster.endpoint])
                    try #require(result.exitCode == 0, "\(result.errors)")
                    tied.job.tasks[index].captures = []
                    tied.job.tasks[index].factors = "run:\(task)"
                }
                tied.job.output = "streamed"
                try tied.job.write(to: path)
                let result = try await cluster.client("submit", path, "--watch")
                try #require(result.exitCode == 0, "\(result.errors)")
            }
            for task in TiedModel.tasks {
                let files = try ["captured", "streamed"].map {
                    try TensorFile(reading: tied.directory.appending("\($0)/factors/\(task)/factors.safetensors"))
                }
                try #require(files[0].tensors.map(\.name) == files[1].tensors.map(\.name))
                try expectBalances(files[1], files[0])
                for (expected, found) in zip(files[0].tensors, files[1].tensors) {
                    #expect(relativeDistance(found.values, expected.values) < 1e-6, "\(task) \(found.name)")
                }
            }
        }

        // MARK: - Losses

        /// What disturbs a stream in its middle.
        enum Loss: CaseIterable, Sendable { case worker, coordinator, rank }

        @Test(arguments: Loss.allCases)
        func `a loss in the middle leaves nothing, and the same rows again give the same bytes`(loss: Loss) async throws
        {
            let captured = try #require(model.captures["alpha"])
            let tensors = try rowTensors(of: captured)
            try await Cluster.with(workerTimeout: Cluster.shortTimeout) { cluster in
                let workers = try await startRowWorkers(2, cluster)
                try await requireStream(cluster, [capture("alpha")], run: "calm")
                let peer = try await PushPeer(cluster.endpoint)
                try await peer.offer(try rowOffer(of: captured), run: "alpha")
                for (sum, tensor) in tensors.prefix(5).enumerated() {
                    try await peer.rows(tensor.rows(0..<5), sum: sum)
                }
                for _ in 0..<6 { _ = try await peer.answer() }
                switch loss {
                case .worker:
                    for worker in workers { worker.send(SIGKILL) }
                    guard case .failure(.busy, let sentence) = try await peer.answer() else {
                        Issue.record("a stream outlives its workers")
                        return
                    }
                    #expect(sentence.contains("Send all rows of this sequence again."), "\(sentence)")
                    try cluster.startWorker("late", options: ["--row-memory", "256"])
                case .coordinator: try await cluster.restartCoordinator()
                case .rank: await peer.close()
                }
                try await requireStream(cluster, [capture("alpha")], run: "alpha")
                #expect(try storedNames(cluster, "alpha").count == 1)
                // The files differ in the run's name alone.
                let files = try ["calm", "alpha"].map { run in
                    let name = try #require(try storedNames(cluster, run).first)
                    return try TensorFile(reading: cluster.directory.appending("state/runs/\(run)/\(name)"))
                }
                #expect(files[0].tensors.map(\.bytes) == files[1].tensors.map(\.bytes))
                if loss != .rank { await peer.close() }
            }
        }

        @Test func `kfacctl sends all rows again after a killed worker and a killed coordinator`() async throws {
            let rows = 16384
            var random = SplitMix64(seed: 5)
            let path = model.directory.appending("large.safetensors")
            try TensorFile(
                [("fc.input", 512), ("fc.output_grad", 8)].map { name, columns in
                    Tensor(name, [rows, columns], random.values(rows * columns).map { Float($0) })
                }, metadata: ["samples": "\(rows)", "task": "alpha"]
            ).write(to: path)
            try await Cluster.with { cluster in
                try await startRowWorkers(1, cluster)
                func client() throws -> RunningProgram {
                    try RunningProgram(
                        Programs.client, ["push", "--quiet", "--rows", path, "--run", "large", "--no-bias"],
                        name: "push", in: cluster.directory, environment: ["KFACD_COORDINATOR": cluster.endpoint])
                }
                let first = try client()
                // The client is stopped while its stream is open, if it is not faster than this test.
                try await eventually("an open stream") { try await !self.runs(cluster).isEmpty }
                try await first.stop()
                for worker in cluster.workers { worker.send(SIGKILL) }
                try cluster.startWorker("late", options: ["--row-memory", "256"])
                try await cluster.restartCoordinator()
                first.resume()
                #expect(try await first.exitCode() == 0, "\(first.logTail)")
                let names = try storedNames(cluster, "large")
                #expect(names.count == 1)
                let again = try client()
                #expect(try await again.exitCode() == 0)
                #expect(again.errors.contains("was there already as sequence 0 of rank 0 of run \"large\""))
                #expect(try storedNames(cluster, "large") == names)
            }
        }

        @Test func `of two clients that send the same rows one waits, and both end well`() async throws {
            let captured = try #require(model.captures["alpha"])
            let tensors = try rowTensors(of: captured)
            try await Cluster.with { cluster in
                try await startRowWorkers(1, cluster)
                let peers = [try await PushPeer(cluster.endpoint), try await PushPeer(cluster.endpoint)]
                try await peers[0].offer(try rowOffer(of: captured), run: "alpha")
                _ = try await peers[0].answer()
                try await peers[1].offer(try rowOffer(of: captured), run: "alpha")
                guard case .failure(.busy, _) = try await peers[1].answer() else {
                    Issue.record("two clients send the same rows")
                    return
                }
                for (sum, tensor) in tensors.enumerated() { try await peers[0].rows(tensor, sum: sum) }
                for _ in tensors { _ = try await peers[0].answer() }
                try await peers[0].commit(["samples": "\(SmallModel.samples)"])
                let byteCount = UInt64(tensors.reduce(0) { $0 + $1.bytes.count })
                let whole = PushPeer.Answer.state(PushState(offset: byteCount, credit: 0, isWhole: true))
                #expect(try await peers[0].answer() == whole)
                try await peers[1].offer(try rowOffer(of: captured), run: "alpha")
                #expect(
                    try await peers[1].answer() == .state(PushState(offset: 0, credit: 0, isWhole: true)))
                for peer in peers { await peer.close() }
            }
        }
    }
}
