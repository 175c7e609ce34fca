import Foundation
import Identifiers
import TestSupport
import Testing
import WireProtocol

extension SerialIntegrationTests {
    /// Partial sums that clients push to a coordinator, and jobs that use them.
    @Suite(.timeLimit(.minutes(10))) struct PushTests: PushSuite {
        let model: SmallModel

        init() throws {
            model = try SmallModel()
            model.job.outputs = ["factors", "report"]
        }

        @Test(arguments: [1, 2, 4])
        func `pushed files give the bytes of the same files from the disk`(ranks: Int) async throws {
            let files = try writePartials(ranks: ranks, flushes: 2)
            let expected = try await expected()
            try await Cluster.with { cluster in
                for worker in 0..<2 { try cluster.startWorker("w\(worker)") }
                for paths in files { try await requirePush(cluster, paths.reversed()) }
                try use({ "run:\($0)" }, output: "pushed")
                let result = try await cluster.client("submit", model.jobPath, "--watch")
                try #require(result.exitCode == 0, "\(result.errors)")
                #expect(try factors("pushed") == expected)
                let runs = try await runs(cluster)
                #expect(runs.map { $0["run"] as? String } == ["alpha", "beta", "gamma"])
                #expect(runs.allSatisfy { $0["ranks"] as? Int == ranks && $0["files"] as? Int == 2 * ranks })
                #expect(runs.allSatisfy { $0["complete"] as? Bool == true })
            }
        }

        @Test func `a pushed file is pushed again without bytes, and other bytes are refused`() async throws {
            let files = try writePartials(ranks: 1, flushes: 1)
            try await Cluster.with { cluster in
                try await requirePush(cluster, files[0])
                let again = try await push(cluster, files[0])
                #expect(again.exitCode == 0)
                #expect(
                    again.errors.contains("was there already as sequence 0 of rank 0 of run \"alpha\""),
                    "\(again.errors)")
                var other = try TensorFile(reading: files[0][0])
                other.metadata["samples"] = "11"
                try other.write(to: files[0][0])
                let refused = try await push(cluster, files[0])
                #expect(refused.exitCode == 2)
                #expect(
                    refused.errors.contains("error: run \"alpha\", sequence 0 of rank 0: other bytes stand there: "))
                #expect(refused.errors.contains(", from a client on "), "\(refused.errors)")
            }
        }

        @Test func `a killed coordinator keeps what was acknowledged and what arrived, and a push goes on`()
            async throws
        {
            let files = try writePartials(ranks: 2, flushes: 1)
            let expected = try await expected()
            let bytes = try Array(Data(contentsOf: URL(fileURLWithPath: files[0][1])))
            try await Cluster.with { cluster in
                try await requirePush(cluster, [files[0][0]] + files[1] + files[2])
                let peer = try await PushPeer(cluster.endpoint)
                try await peer.offer(bytes, run: "alpha", rank: 1)
                #expect(try await peer.answer() == .state(PushState(offset: 0, credit: 8, isWhole: false)))
                try await peer.chunk(bytes.prefix(100), at: 0)
                #expect(try await peer.answer() == .state(PushState(offset: 100, credit: 8, isWhole: false)))
                try await cluster.restartCoordinator()
                let found = try await runs(cluster)
                #expect(found.map { $0["files"] as? Int } == [1, 2, 2])
                #expect(found[0]["unfinished_files"] as? Int == 1)
                // A file that is not whole is no file of the run.
                try use({ "run:\($0)" }, output: "pushed")
                let again = try await PushPeer(cluster.endpoint)
                try await again.offer(bytes, run: "alpha", rank: 1)
                #expect(try await again.answer() == .state(PushState(offset: 100, credit: 8, isWhole: false)))
                try await again.chunk(bytes.dropFirst(100), at: 100)
                let whole = PushState(offset: UInt64(bytes.count), credit: 0, isWhole: true)
                #expect(try await again.answer() == .state(whole))
                try await cluster.restartCoordinator()
                try await requirePush(cluster, [files[0][1]])
                try cluster.startWorker("w")
                let result = try await cluster.client("submit", model.jobPath, "--watch")
                try #require(result.exitCode == 0, "\(result.errors)")
                #expect(try factors("pushed") == expected)
                for peer in [peer, again] { await peer.close() }
            }
        }

        @Test func `kfacctl push outlives a killed coordinator, and ends well`() async throws {
            let path = try writeLarge(mebibytes: 128)
            try await Cluster.with { cluster in
                let client = try RunningProgram(
                    Programs.client, ["push", "--quiet", path], name: "push", in: cluster.directory,
                    environment: ["KFACD_COORDINATOR": cluster.endpoint])
                // The client is stopped while its push is open, if it is not faster than this test.
                try await eventually("an open push") { try await !self.runs(cluster).isEmpty }
                try await client.stop()
                try await cluster.restartCoordinator()
                client.resume()
                #expect(try await client.exitCode() == 0, "\(client.logTail)")
                let run = try await runs(cluster)[0]
                #expect(run["complete"] as? Bool == true && run["files"] as? Int == 1)
            }
        }

        @Test func `the status page and the metrics show the runs`() async throws {
            let files = try writePartials(ranks: 2, flushes: 1)
            try await Cluster.with(environment: ["KFACD_HTTP": "127.0.0.1:0"]) { cluster in
                try await requirePush(cluster, [files[0][1]])
                let port = try await cluster.coordinator.statusPort()
                let metrics = try HTTPReply(get: "/metrics", port: port)
                #expect(try metrics.value("kfacd_runs") == 1)
                #expect(try metrics.value("kfacd_run_files") == 1)
                let size = try Data(contentsOf: URL(fileURLWithPath: files[0][1])).count
                #expect(try metrics.value("kfacd_run_bytes") == Double(size))
                #expect(try metrics.value("kfacd_pushes_refused_total{kind=\"bad_input\"}") == 0)
                let page = try HTTPReply(get: "/", port: port).body
                #expect(page.contains("Pushed runs") && page.contains("incomplete"), "\(page)")
            }
        }

        @Test func `a coordinator that ends in order keeps what has arrived`() async throws {
            let files = try writePartials(ranks: 1, flushes: 1)
            let bytes = try Array(Data(contentsOf: URL(fileURLWithPath: files[0][0])))
            try await Cluster.with { cluster in
                let peer = try await PushPeer(cluster.endpoint)
                try await peer.offer(bytes, run: "alpha")
                _ = try await peer.answer()
                try await peer.chunk(bytes.prefix(50), at: 0)
                _ = try await peer.answer()
                cluster.coordinator.send(SIGTERM)
                #expect(try await cluster.coordinator.exitCode() == 0)
                try await cluster.restartCoordinator()
                #expect(try await runs(cluster)[0]["arrived_bytes"] as? Int == 50)
                try await requirePush(cluster, files[0])
                await peer.close()
            }
        }

        @Test func `a killed rank's push goes on from another process`() async throws {
            let files = try writePartials(ranks: 1, flushes: 1)
            let bytes = try Array(Data(contentsOf: URL(fileURLWithPath: files[0][0])))
            try await Cluster.with { cluster in
                let peer = try await PushPeer(cluster.endpoint)
                try await peer.offer(bytes, run: "alpha")
                _ = try await peer.answer()
                try await peer.chunk(bytes.prefix(10), at: 0)
                _ = try await peer.answer()
                await peer.close()
                // The coordinator may still count the first one as alive; then this one waits.
                try await requirePush(cluster, files[0])
                #expect(try await runs(cluster)[0]["complete"] as? Bool == true)
            }
        }

        @Test func `of two clients that push the same file one waits, and both end well`() async throws {
            let files = try writePartials(ranks: 1, flushes: 1)
            let bytes = try Array(Data(contentsOf: URL(fileURLWithPath: files[0][0])))
            try await Cluster.with { cluster in
                var peers = [try await PushPeer(cluster.endpoint), try await PushPeer(cluster.endpoint)]
                try await peers[0].offer(bytes, run: "alpha")
                _ = try await peers[0].answer()
                try await peers[1].offer(bytes, run: "alpha")
                var answer = try await peers[1].answer()
                // Who has been silent for two seconds gives way. On a machine that stood still, the first has.
                while answer == .state(PushState(offset: 0, credit: 8, isWhole: false)) {
                    peers.swapAt(0, 1)
                    try await peers[1].offer(bytes, run: "alpha")
                    answer = try await peers[1].answer()
                }
                #expect(
                    answer
                        == .failure(
                            .busy,
                            "run \"alpha\", sequence 0 of rank 0: a client on peer pushes it at the moment. Try again later."
                        ))
                try await peers[0].chunk(bytes, at: 0)
                let whole = PushPeer.Answer.state(PushState(offset: UInt64(bytes.count), credit: 0, isWhole: true))
                #expect(try await peers[0].answer() == whole)
                try await peers[1].offer(bytes, run: "alpha")
                #expect(try await peers[1].answer() == whole)
                for peer in peers { await peer.close() }
            }
        }

        @Test
        func `kfacctl plan and run say that only a coordinator has runs, and a planned job is one of a coordinator`()
            async throws
        {
            let files = try writePartials(ranks: 1, flushes: 1)
            try use({ "run:\($0)" }, output: "pushed")
            for command in ["plan", "run"] {
                let result = try await Client.run([command, model.jobPath], in: model.directory)
                #expect(result.exitCode == 2)
                #expect(
                    result.errors.contains(
                        "\"run:alpha\" names a pushed run, which only its coordinator has. Submit the job with \"kfacctl submit\""
                    ), "\(result.errors)")
            }
            try await Cluster.with { cluster in
                for paths in files { try await requirePush(cluster, paths) }
                #expect(try await cluster.client("plan", model.jobPath).exitCode == 0)
            }
        }

        /// A file of a run that no job uses.
        private func unusedPartials() throws -> String {
            var sums = PartialSums(capture: try #require(model.captures["alpha"]))
            sums.run = "unused"
            let path = model.directory.appending("unused.safetensors")
            try sums.file(rank: 0, sequence: 0, samples: 0..<SmallModel.samples).write(to: path)
            return path
        }

        @Test func `a job holds its run until its end, and a removed run is gone`() async throws {
            let files = try writePartials(ranks: 1, flushes: 1)
            try await Cluster.with { cluster in
                for paths in files { try await requirePush(cluster, paths) }
                try use({ "run:\($0)" }, output: "pushed")
                // Without a worker the job waits.
                let job = try await cluster.submit(model.jobPath)
                let refused = try await cluster.client("runs", "--remove", "alpha")
                #expect(refused.exitCode == 2)
                #expect(refused.errors == "error: run \"alpha\": a job uses it. Wait for the job, or cancel it.\n")
                #expect(try await runs(cluster).map { $0["jobs"] as? [String] } == [[job], [job], [job]])
                let unused = try unusedPartials()
                try await requirePush(cluster, [unused])
                try await cluster.restartCoordinator(adding: ["--run-expiry", "1s"])
                // The run that no job uses is the youngest. When it has expired, the others would have too.
                try await eventually("the expiry of one run") {
                    try await self.runs(cluster).count == 3
                }
                #expect(try await runs(cluster).map { $0["jobs"] as? [String] } == [[job], [job], [job]])
                try cluster.startWorker("w")
                try await cluster.waitForSuccess(job)
                try await eventually("the expiry of the runs") {
                    try await self.runs(cluster).isEmpty
                }
                #expect(cluster.coordinator.errors.contains("a pushed run expired and was removed"))
                try await cluster.restartCoordinator()
                try await requirePush(cluster, files[0])
                let removed = try await cluster.client("runs", "--remove", "alpha")
                #expect(removed.exitCode == 0, "\(removed.errors)")
            }
        }

        @Test func `a pushed file that was damaged on the disk is named, and can be pushed again`() async throws {
            let files = try writePartials(ranks: 1, flushes: 1)
            let expected = try await expected()
            try await Cluster.with { cluster in
                for paths in files { try await requirePush(cluster, paths) }
                let directory = cluster.directory.appending("state/runs/beta")
                let name = try #require(
                    try FileManager.default.contentsOfDirectory(atPath: directory).first {
                        $0.hasSuffix(".safetensors")
                    })
                let file = try FileHandle(forUpdating: URL(fileURLWithPath: "\(directory)/\(name)"))
                let size = try file.seekToEnd()
                try file.seek(toOffset: size - 1)
                try file.write(contentsOf: Data([0x41]))
                try file.close()
                try use({ "run:\($0)" }, output: "pushed")
                let refused = try await cluster.client("submit", model.jobPath)
                #expect(refused.exitCode == 2)
                #expect(
                    refused.errors.contains(
                        "run \"beta\": the bytes of sequence 0 of rank 0 were damaged on the coordinator's disk, and are removed. "
                            + "Push them again."), "\(refused.errors)")
                try await requirePush(cluster, files[1])
                try cluster.startWorker("w")
                let result = try await cluster.client("submit", model.jobPath, "--watch")
                try #require(result.exitCode == 0, "\(result.errors)")
                #expect(try factors("pushed") == expected)
            }
        }
    }
}
