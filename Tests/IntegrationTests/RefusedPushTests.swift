import Foundation
import Identifiers
import TestSupport
import Testing
import WireProtocol

extension SerialIntegrationTests {
    /// Pushes and runs that a coordinator does not take.
    @Suite(.timeLimit(.minutes(10))) struct RefusedPushTests: PushSuite {
        let model: SmallModel

        init() throws {
            model = try SmallModel()
            model.job.outputs = ["factors", "report"]
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

        @Test func `chunks out of order, too large, empty and without an offer are refused`() async throws {
            let bytes = [UInt8](repeating: 7, count: 3 << 20)
            try await Cluster.with { cluster in
                let peer = try await PushPeer(cluster.endpoint)
                try await peer.chunk([1], at: 0)
                #expect(
                    try await peer.answer()
                        == .failure(.busy, "the push: it is not open (any more). Offer the file again."))
                for (offset, count) in [(UInt64(5), 10), (0, 0), (UInt64.max, 3)] {
                    try await peer.offer(bytes)
                    _ = try await peer.answer()
                    try await peer.chunk(bytes.prefix(count), at: offset)
                    guard case .failure(.badInput, let sentence) = try await peer.answer() else {
                        Issue.record("a chunk of \(count) bytes at \(offset) is taken")
                        continue
                    }
                    #expect(
                        sentence.contains("a chunk of \(count) bytes came for offset \(offset); expected the next one"))
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
                    (Array(bytes.dropLast(8)), "alpha", "the pushed file: "),
                    (Array("text".utf8), "alpha", "the pushed file: "),
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
                #expect(
                    sentence.contains("the bytes that arrived have the SHA-256 \(PushPeer.sha256(bytes)); expected"))
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
                #expect(
                    result.errors.contains("the sequence of rank 1 numbered 0 is missing; expected all from 0 to 1"))
                #expect(result.errors.contains("the number of probes is 3; expected 2 as in"))
                #expect(
                    result.errors.contains(
                        "run \"gamma\": nothing was pushed under this name. Known runs: alpha, beta."))
            }
        }

        @Test func `a file above the quota is refused with the figures, and is taken when there is room`() async throws
        {
            let files = try writePartials(ranks: 1, flushes: 1)
            let bytes = [UInt8](repeating: 7, count: 1 << 20)
            try await Cluster.with(options: ["--run-quota", "1", "--run-expiry", "never"]) { cluster in
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
