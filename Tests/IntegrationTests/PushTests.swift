import Foundation
import Identifiers
import TestSupport
import Testing
import WireProtocol

extension SerialIntegrationTests {
    /// Partial sums that clients push to a coordinator, and jobs that use them.
    @Suite(.timeLimit(.minutes(10))) struct PushTests {
        private let model: SmallModel

        init() throws {
            model = try SmallModel()
            model.job.outputs = ["factors", "report"]
        }

        /// Writes the partial sums of all tasks, and returns the paths of each task's files.
        private func writePartials(ranks: Int, flushes: Int, run: String? = nil) throws -> [[String]] {
            try SmallModel.taskNames.map { name in
                var sums = PartialSums(capture: try #require(model.captures[name]))
                sums.run = run ?? name
                return try PartialSums.split(ranks: ranks, flushes: flushes).map { part in
                    let path = model.directory.appending("partials/\(name)/\(part.rank)-\(part.sequence).safetensors")
                    try sums.file(rank: part.rank, sequence: part.sequence, samples: part.samples).write(to: path)
                    return path
                }
            }
        }

        /// Lets each task name files or a run.
        private func use(_ factors: (String) -> String, output: String) throws {
            for (index, name) in SmallModel.taskNames.enumerated() {
                model.job.tasks[index].captures = []
                model.job.tasks[index].factors = factors(name)
            }
            model.job.output = output
            try model.write()
        }

        private func push(_ cluster: Cluster, _ paths: [String]) async throws -> CommandResult {
            try await Client.run(
                ["push", "--quiet"] + paths, in: cluster.directory, environment: ["KFACD_COORDINATOR": cluster.endpoint])
        }

        private func requirePush(
            _ cluster: Cluster, _ paths: [String], sourceLocation: SourceLocation = #_sourceLocation
        ) async throws {
            let result = try await push(cluster, paths)
            try #require(result.exitCode == 0, "\(result.errors)", sourceLocation: sourceLocation)
        }

        private func runs(_ cluster: Cluster) async throws -> [[String: Any]] {
            let result = try await cluster.client("runs", "--output", "json")
            try #require(result.exitCode == 0, "\(result.errors)")
            return try #require(try result.json["runs"] as? [[String: Any]])
        }

        private func factors(_ output: String) throws -> [Data] {
            try SmallModel.taskNames.map {
                try Data(contentsOf: URL(fileURLWithPath: model.directory.appending("\(output)/factors/\($0)/factors.safetensors")))
            }
        }

        /// The factors of the same files from the disk.
        private func expected(_ output: String = "files") async throws -> [Data] {
            try use({ "partials/\($0)" }, output: output)
            try await model.run()
            return try factors(output)
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
                #expect(again.errors.contains("was there already as sequence 0 of rank 0 of run \"alpha\""), "\(again.errors)")
                var other = try TensorFile(reading: files[0][0])
                other.metadata["samples"] = "11"
                try other.write(to: files[0][0])
                let refused = try await push(cluster, files[0])
                #expect(refused.exitCode == 2)
                #expect(refused.errors.contains("error: run \"alpha\", sequence 0 of rank 0: other bytes stand there: "))
                #expect(refused.errors.contains(", from a client on "), "\(refused.errors)")
            }
        }

        @Test func `files that are no partial sums are refused before anything is sent`() async throws {
            _ = try writePartials(ranks: 1, flushes: 1)
            try model.directory.write(Array("hello".utf8), to: "text.safetensors")
            try await Cluster.with { cluster in
                let result = try await push(
                    cluster,
                    [
                        model.directory.appending("partials/alpha/0-0.safetensors"),
                        model.directory.appending("base.safetensors"), model.directory.appending("text.safetensors"),
                        model.directory.appending("missing.safetensors"),
                    ])
                #expect(result.exitCode == 2)
                for name in ["base", "text", "missing"] { #expect(result.errors.contains("/\(name).safetensors: ")) }
                #expect(try await runs(cluster).isEmpty)
            }
        }

        @Test func `a killed coordinator keeps what was acknowledged and what arrived, and a push goes on`() async throws {
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
                let peers = [try await PushPeer(cluster.endpoint), try await PushPeer(cluster.endpoint)]
                try await peers[0].offer(bytes, run: "alpha")
                _ = try await peers[0].answer()
                try await peers[1].offer(bytes, run: "alpha")
                #expect(
                    try await peers[1].answer()
                        == .failure(
                            .busy,
                            "run \"alpha\", sequence 0 of rank 0: a client on peer pushes it at the moment. Try again later."))
                try await peers[0].chunk(bytes, at: 0)
                let whole = PushPeer.Answer.state(PushState(offset: UInt64(bytes.count), credit: 0, isWhole: true))
                #expect(try await peers[0].answer() == whole)
                try await peers[1].offer(bytes, run: "alpha")
                #expect(try await peers[1].answer() == whole)
                for peer in peers { await peer.close() }
            }
        }

        @Test func `chunks out of order, too large, empty and without an offer are refused`() async throws {
            let bytes = [UInt8](repeating: 7, count: 3 << 20)
            try await Cluster.with { cluster in
                let peer = try await PushPeer(cluster.endpoint)
                try await peer.chunk([1], at: 0)
                #expect(
                    try await peer.answer()
                        == .failure(.world, "the push: it is not open (any more). Offer the file again."))
                for (offset, count) in [(UInt64(5), 10), (0, 0), (UInt64.max, 3)] {
                    try await peer.offer(bytes)
                    _ = try await peer.answer()
                    try await peer.chunk(bytes.prefix(count), at: offset)
                    guard case .failure(.badInput, let sentence) = try await peer.answer() else {
                        Issue.record("a chunk of \(count) bytes at \(offset) is taken")
                        continue
                    }
                    #expect(sentence.contains("a chunk of \(count) bytes came for offset \(offset); expected the next one"))
                }
                // More than a chunk may have is no message of the protocol.
                try await peer.offer(bytes)
                _ = try await peer.answer()
                try await peer.chunk(bytes.prefix(1 << 20 + 1), at: 0)
                guard case .refusal = try await peer.answer() else {
                    Issue.record("a chunk above the limit is taken")
                    return
                }
                await peer.close()
            }
        }

        @Test func `a client that ignores its credit loses its connection, and others are served`() async throws {
            let files = try writePartials(ranks: 1, flushes: 1)
            let bytes = [UInt8](repeating: 7, count: 1 << 20)
            try await Cluster.with { cluster in
                let peer = try await PushPeer(cluster.endpoint)
                try await peer.offer(bytes, byteCount: 100 << 20)
                _ = try await peer.answer()
                for offset in 0..<64 { try? await peer.chunk(bytes, at: UInt64(offset) << 20) }
                try await requirePush(cluster, files[0])
                await peer.close()
            }
        }

        @Test func `a whole file that is not what was announced leaves nothing behind`() async throws {
            let files = try writePartials(ranks: 1, flushes: 1)
            let bytes = try Array(Data(contentsOf: URL(fileURLWithPath: files[0][0])))
            try await Cluster.with { cluster in
                let peer = try await PushPeer(cluster.endpoint)
                for (content, run, what) in [
                    (bytes, RunName("other"), "the file's metadata says run \"alpha\", sequence 0 of rank 0; expected"),
                    (Array(bytes.dropLast(8)), "alpha", "the pushed file: "), (Array("text".utf8), "alpha", "the pushed file: "),
                ] {
                    try await peer.offer(content, run: run)
                    _ = try await peer.answer()
                    try await peer.chunk(content, at: 0)
                    guard case .failure(.badInput, let sentence) = try await peer.answer() else {
                        Issue.record("taken: \(what)")
                        continue
                    }
                    #expect(sentence.contains(what) && sentence.hasSuffix("Nothing was kept."), "\(sentence)")
                }
                try await peer.offer(bytes, digest: PushPeer.sha256([1]), run: "alpha")
                _ = try await peer.answer()
                try await peer.chunk(bytes, at: 0)
                guard case .failure(.world, let sentence) = try await peer.answer() else {
                    Issue.record("other bytes are taken")
                    return
                }
                #expect(sentence.contains("the bytes that arrived have the SHA-256 \(PushPeer.sha256(bytes)); expected"))
                #expect(try await runs(cluster).isEmpty)
                await peer.close()
            }
        }

        @Test func `names that are no runs, and sizes that no file has, are refused`() async throws {
            try await Cluster.with { cluster in
                for name in ["../up", ".hidden", "a\u{1}b", String(repeating: "x", count: 300), ""] {
                    let peer = try await PushPeer(cluster.endpoint)
                    try await peer.offer([1], run: RunName(rawValue: name))
                    guard case .refusal(let sentence) = try await peer.answer() else {
                        Issue.record("\(name.prefix(10)) is taken")
                        continue
                    }
                    #expect(sentence.contains("cannot name a run; expected 1 to 200 bytes"), "\(sentence)")
                    await peer.close()
                }
                let peer = try await PushPeer(cluster.endpoint)
                try await peer.offer([1], byteCount: 1 << 60)
                guard case .failure(.world, let sentence) = try await peer.answer() else {
                    Issue.record("2^60 bytes are taken")
                    return
                }
                #expect(sentence.contains("the file has \(1 << 60) bytes, and all runs together have 0 of at most"))
                await peer.close()
                #expect(!FileManager.default.fileExists(atPath: cluster.directory.appending("state/runs")))
            }
        }

        @Test func `runs with gaps and ranks that disagree are refused, each cause in one line`() async throws {
            let files = try writePartials(ranks: 2, flushes: 2)
            var other = try TensorFile(reading: files[1][3])
            other.metadata["probes"] = "3"
            try other.write(to: files[1][3])
            try await Cluster.with { cluster in
                try await requirePush(cluster, [files[0][0], files[0][1], files[0][3]] + files[1])
                #expect(try await runs(cluster)[0]["missing"] as? Int == 1)
                try use({ "run:\($0)" }, output: "pushed")
                let result = try await cluster.client("submit", model.jobPath)
                #expect(result.exitCode == 2)
                let lines = result.errors.split(separator: "\n").filter { $0.contains("job.yaml") }
                #expect(lines.count == 3, "\(result.errors)")
                #expect(result.errors.contains("the sequence of rank 1 numbered 0 is missing; expected all from 0 to 1"))
                #expect(result.errors.contains("the number of probes is 3; expected 2 as in"))
                #expect(result.errors.contains("run \"gamma\": nothing was pushed under this name. Known runs: alpha, beta."))
            }
        }

        @Test func `kfacctl plan and run say that only a coordinator has runs, and a planned job is one of a coordinator`()
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

        @Test func `a job holds its run until its end, and a removed run is gone`() async throws {
            let files = try writePartials(ranks: 1, flushes: 1)
            try await Cluster.with(options: ["--run-expiry", "1s"]) { cluster in
                for paths in files { try await requirePush(cluster, paths) }
                try use({ "run:\($0)" }, output: "pushed")
                // Without a worker the job waits.
                let job = try await cluster.submit(model.jobPath)
                let refused = try await cluster.client("runs", "--remove", "alpha")
                #expect(refused.exitCode == 2)
                #expect(refused.errors == "error: run \"alpha\": a job uses it. Wait for the job, or cancel it.\n")
                #expect(try await runs(cluster).map { $0["jobs"] as? [String] } == [[job], [job], [job]])
                try await cluster.restartCoordinator()
                try await Task.sleep(for: .seconds(2))
                #expect(try await runs(cluster).count == 3)
                try cluster.startWorker("w")
                try await cluster.waitForSuccess(job)
                try await eventually("the expiry of the runs", within: .seconds(20)) {
                    try await self.runs(cluster).isEmpty
                }
                #expect(cluster.coordinator.errors.contains("a pushed run expired and was removed"))
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
                    try FileManager.default.contentsOfDirectory(atPath: directory).first { $0.hasSuffix(".safetensors") })
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

        @Test func `a file above the quota is refused with the figures, and is taken when there is room`() async throws {
            let files = try writePartials(ranks: 1, flushes: 1)
            let bytes = [UInt8](repeating: 7, count: 1 << 20)
            try await Cluster.with(options: ["--run-quota", "1"]) { cluster in
                let peer = try await PushPeer(cluster.endpoint)
                try await peer.offer(bytes, run: "large")
                #expect(try await peer.answer() == .state(PushState(offset: 0, credit: 8, isWhole: false)))
                let refused = try await push(cluster, files[0])
                #expect(refused.exitCode == 1)
                #expect(refused.errors.contains("all runs together have 1048576 of at most 1048576. Remove a run"))
                #expect(try await cluster.client("runs", "--remove", "large").exitCode == 0)
                try await requirePush(cluster, files[0])
                await peer.close()
            }
        }

        @Test(.enabled(if: SmallDisk.isPossible, SmallDisk.reason))
        func `a full disk and a read-only one refuse pushes, and nothing else breaks`() async throws {
            let files = try writePartials(ranks: 1, flushes: 1)
            let options = ["--run-directory", model.directory.appending("disk/runs"), "--run-quota", "1000"]
            let disk = model.directory.appending("disk")
            try await Cluster.with(options: options) { _ in
                SmallDisk.fullLauncher(for: disk)
            } _: { cluster in
                let refused = try await push(cluster, files[0])
                #expect(refused.exitCode == 1)
                #expect(refused.errors.contains("the coordinator's disk has 0 free"), "\(refused.errors)")
                #expect(try await runs(cluster).isEmpty)
            }
            try await Cluster.with(options: options) { _ in
                SmallDisk.readOnlyLauncher(for: disk)
            } _: { cluster in
                let refused = try await push(cluster, files[0])
                #expect(refused.exitCode == 1)
                #expect(refused.errors.contains("disk/runs: the directory cannot be made"), "\(refused.errors)")
                #expect(try await cluster.client("jobs").exitCode == 0)
            }
        }

        @Test(.enabled(if: GuardedCluster.address != nil, "this machine has no address but loopback"))
        func `a reader lists runs and cannot push or remove, and a sender is shown by its key`() async throws {
            let files = try writePartials(ranks: 1, flushes: 1)
            let cluster = try await GuardedCluster(holders: ["boss": ["submitter"], "ci": ["reader"]])
            try await cluster.startCoordinator(roots: [model.directory.path])
            let pushed = try await cluster.client("ci", "push", files[0][0])
            #expect(pushed.exitCode == 2)
            #expect(pushed.errors.contains("the key \"ci\": it has the role reader; pushing needs submitter: add"))
            let accepted = try await cluster.client("boss", "push", files[0][0])
            #expect(accepted.exitCode == 0, "\(accepted.errors)")
            let removed = try await cluster.client("ci", "runs", "--remove", "alpha")
            #expect(removed.exitCode == 2)
            #expect(removed.errors.contains("removing a run needs submitter"))
            let list = try await cluster.client("ci", "runs")
            #expect(list.exitCode == 0)
            #expect(list.output.contains("boss on "), "\(list.output)")
        }
    }
}
