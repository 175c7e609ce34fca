import Foundation
import Identifiers
import TestSupport
import Testing
import WireProtocol

extension SerialIntegrationTests {
    /// Streams of rows that a coordinator or `kfacctl` does not take, and clients that misbehave.
    @Suite(.timeLimit(.minutes(10))) struct RefusedRowStreamTests: RowStreamSuite {
        let model: SmallModel

        init() throws { model = try SmallModel() }

        private func refusal(_ peer: PushPeer) async throws -> (kind: RequestFailure.Kind, sentence: String) {
            while true {
                switch try await peer.answer() {
                case .failure(let kind, let sentence): return (kind, sentence)
                case .state(let state): try #require(!state.isWhole)
                case .refusal(let sentence): try #require(Bool(false), "\(sentence)")
                }
            }
        }

        // MARK: - The coordinator

        @Test func `without workers for rows the client waits`() async throws {
            let captured = try #require(model.captures["alpha"])
            try await Cluster.with { cluster in
                try cluster.startWorker("w")
                try await cluster.waitForWorkers(1)
                let peer = try await PushPeer(cluster.endpoint)
                try await peer.offer(try rowOffer(of: captured))
                let (kind, sentence) = try await refusal(peer)
                #expect(kind == .busy && sentence.contains("no worker takes rows now."), "\(sentence)")
                await peer.close()
                // kfacctl waits for such a worker.
                let client = try RunningProgram(
                    Programs.client,
                    [
                        "push", "--rows", model.directory.appending("captures/alpha.safetensors"), "--run", "alpha",
                        "--base", model.directory.appending("base.safetensors"),
                    ], name: "push", in: cluster.directory, environment: ["KFACD_COORDINATOR": cluster.endpoint])
                try await eventually("a wait") { client.errors.contains("no worker takes rows") }
                try cluster.startWorker("rows", options: ["--row-memory", "256"])
                #expect(try await client.exitCode() == 0, "\(client.logTail)")
            }
        }

        /// What a client does wrong after its offer, and what it is told.
        struct Fault: Sendable, CustomTestStringConvertible {
            let testDescription: String
            let sentence: String
            let perform: @Sendable (PushPeer, [Tensor]) async throws -> Void
        }

        private static let commit = ["samples": "\(SmallModel.samples)"]

        private static let faults = [
            Fault(testDescription: "half a row", sentence: "expected whole rows of ") { peer, tensors in
                try await peer.rows(
                    Tensor("half", .float32, [3], bytes: Data(count: 4 * tensors[0].shape[1] + 4)), sum: 0)
            },
            Fault(testDescription: "a sum that was not offered", sentence: "rows came for sum 99") { peer, tensors in
                try await peer.rows(tensors[0], sum: 99)
            },
            Fault(testDescription: "a gap", sentence: "came for row 7; expected row 0.") { peer, tensors in
                try await peer.rows(tensors[0], sum: 0, firstRow: 7)
            },
            Fault(testDescription: "rows again", sentence: "came for row 0; expected row 36.") { peer, tensors in
                for _ in 0..<2 { try await peer.rows(tensors[0], sum: 0) }
            },
            Fault(testDescription: "missing rows", sentence: "rows came; expected ") { peer, tensors in
                try await peer.rows(tensors[0], sum: 0)
                try await peer.commit(commit)
            },
            Fault(testDescription: "a commit without samples", sentence: "\"samples\"") { peer, _ in
                try await peer.commit([:])
            },
            Fault(testDescription: "a commit of other metadata", sentence: "\"task\"") { peer, _ in
                try await peer.commit(commit.merging(["task": "other"]) { $1 })
            },
            Fault(testDescription: "NaN", sentence: "\"fc.A\"") { peer, tensors in
                try await peer.rows(tensors[0].replacing(5 * tensors[0].shape[1] + 1, with: .nan), sum: 0)
                for (sum, tensor) in tensors.enumerated().dropFirst() { try await peer.rows(tensor, sum: sum) }
                try await peer.commit(commit)
            },
        ]

        @Test(arguments: faults)
        func `faults of a client end its stream with a sentence, and leave nothing`(fault: Fault) async throws {
            let captured = try #require(model.captures["alpha"])
            let tensors = try rowTensors(of: captured)
            try await Cluster.with { cluster in
                try await startRowWorkers(1, cluster)
                let peer = try await PushPeer(cluster.endpoint)
                try await peer.offer(try rowOffer(of: captured), run: "alpha")
                _ = try await peer.answer()
                try await fault.perform(peer, tensors)
                let (kind, sentence) = try await refusal(peer)
                #expect(kind == .badInput && sentence.contains(fault.sentence), "\(sentence)")
                #expect(sentence.hasPrefix("run \"alpha\", sequence 0 of rank 0: "), "\(sentence)")
                if fault.testDescription == "NaN" { #expect(sentence.contains("row 5"), "\(sentence)") }
                #expect(try await runs(cluster).isEmpty)
                // The same rows without the fault are taken.
                try await requireStream(
                    cluster, [model.directory.appending("captures/alpha.safetensors")], run: "alpha")
                await peer.close()
            }
        }

        @Test func `rows beyond the credit and after the commit end a stream`() async throws {
            let captured = try #require(model.captures["alpha"])
            let tensors = try rowTensors(of: captured)
            try await Cluster.with { cluster in
                let workers = try await startRowWorkers(1, cluster)
                let peer = try await PushPeer(cluster.endpoint)
                try await peer.offer(try rowOffer(of: captured), run: "alpha")
                _ = try await peer.answer()
                // A worker that stands still takes nothing.
                for worker in workers { try await worker.stop() }
                for row in 0..<40 {
                    try await peer.rows(tensors[0].rows(row % 36..<row % 36 + 1), sum: 0, firstRow: UInt64(row))
                }
                let (kind, sentence) = try await refusal(peer)
                #expect(
                    kind == .badInput && sentence.contains("more messages came than the credit allows"), "\(sentence)")
                try await peer.offer(try rowOffer(of: captured), run: "alpha")
                _ = try await peer.answer()
                for (sum, tensor) in tensors.enumerated() { try await peer.rows(tensor, sum: sum) }
                try await peer.commit(Self.commit)
                try await peer.rows(tensors[0], sum: 0, firstRow: 36)
                let (late, words) = try await refusal(peer)
                #expect(late == .badInput && words.contains("Nothing follows a commit."), "\(words)")
                for worker in workers { worker.resume() }
                try await requireStream(
                    cluster, [model.directory.appending("captures/alpha.safetensors")], run: "alpha")
                await peer.close()
            }
        }

        @Test func `sums beyond the quota or the memory of workers are refused with the figures`() async throws {
            let offer = { (columns: Int) in
                RowStreamOffer(
                    metadata: ["task": "alpha", "probes": "1", "normalization": "tak", "bias": "{\"fc\":false}"],
                    sums: [
                        RowStreamOffer.Sum(tensors: ["fc.A"], columns: columns),
                        RowStreamOffer.Sum(tensors: ["fc.B"], columns: 1),
                    ])
            }
            try await Cluster.with(options: ["--run-quota", "64"]) { cluster in
                try await startRowWorkers(1, cluster)
                let peer = try await PushPeer(cluster.endpoint)
                try await peer.offer(offer(8192))
                let (kind, sentence) = try await refusal(peer)
                #expect(kind == .world && sentence.contains("\"run-quota\""), "\(sentence)")
                await peer.close()
            }
            try await Cluster.with(options: ["--run-quota", "100000"]) { cluster in
                try await startRowWorkers(1, cluster)
                let peer = try await PushPeer(cluster.endpoint)
                try await peer.offer(offer(16384))
                let (kind, sentence) = try await refusal(peer)
                #expect(kind == .world && sentence.contains("\"--row-memory\""), "\(sentence)")
                await peer.close()
            }
        }

        @Test func `a client that never reads and one that stops in the middle hold up nobody`() async throws {
            let captured = try #require(model.captures["alpha"])
            let tensors = try rowTensors(of: captured)
            try await Cluster.with { cluster in
                try await startRowWorkers(1, cluster)
                let peers = [try await PushPeer(cluster.endpoint), try await PushPeer(cluster.endpoint)]
                for (rank, peer) in peers.enumerated() {
                    try await peer.offer(try rowOffer(of: captured), run: "alpha", rank: rank)
                    for (sum, tensor) in tensors.enumerated() { try await peer.rows(tensor, sum: sum) }
                }
                // One is gone, and its stream with it; the other is there and reads nothing.
                await peers[0].close()
                let paths = [model.directory.appending("captures/alpha.safetensors")]
                try await requireStream(cluster, paths, run: "alpha", ["--rank", "0"])
                try await requireStream(cluster, paths, run: "alpha", ["--rank", "2"])
                #expect(try storedNames(cluster, "alpha").count == 2)
                await peers[1].close()
            }
        }

        // MARK: - kfacctl

        @Test func `kfacctl says what it needs before it sends anything`() async throws {
            let captured = try #require(model.captures["alpha"])
            var unnamed = captured
            unnamed.metadata["task"] = nil
            try unnamed.write(to: model.directory.appending("unnamed.safetensors"))
            var uneven = captured
            uneven.metadata["samples"] = "11"
            uneven.tensors.removeAll { $0.name == "norm.weight.grad" }
            try uneven.write(to: model.directory.appending("uneven.safetensors"))
            var stranger = captured
            stranger.tensors = captured.tensors.map { $0.renamed($0.name.replacing("fc.", with: "fd.")) }
            try stranger.write(to: model.directory.appending("stranger.safetensors"))
            var swapped = captured
            swapped.tensors = captured.tensors.map { tensor in
                let name = tensor.name
                return name.hasPrefix("fc.")
                    ? tensor.renamed("q." + name.dropFirst(3))
                    : name.hasPrefix("q.") ? tensor.renamed("fc." + name.dropFirst(2)) : tensor
            }
            try swapped.write(to: model.directory.appending("swapped.safetensors"))
            func file(_ name: String) -> String { model.directory.appending(name) }
            let base = ["--base", file("base.safetensors")]
            let cases: [([String], String)] = [
                (
                    ["--rows", file("unnamed.safetensors"), "--run", "r"] + base,
                    "does not name its task. Name it with --task."
                ),
                (
                    ["--rows", file("captures/alpha.safetensors"), "--run", "r"],
                    "captures do not say which layers have a bias."
                ),
                (
                    ["--rows", file("captures/alpha.safetensors"), "--run", "r", "--no-bias"] + base,
                    "the biases are stated twice."
                ),
                (["--rows", file("captures/alpha.safetensors")] + base, "--rows needs --run"),
                (["--rows", file("captures/alpha.safetensors"), "--run", ".r"] + base, "cannot name a run"),
                ([file("captures/alpha.safetensors"), "--run", "r"], "These options need --rows."),
                ([file("captures/alpha.safetensors"), "--balance"], "These options need --rows."),
                (
                    ["--rows", file("uneven.safetensors"), "--run", "r", "--balance"] + base,
                    "\"--balance\" needs the sample of each row."
                ),
                (
                    ["--rows", file("uneven.safetensors"), "--run", "r", "--normalization", "reduce"] + base,
                    "\"reduce\" needs the sample of each row."
                ),
                (["--rows", file("stranger.safetensors"), "--run", "r"] + base, "the base has no layer \"fd\"."),
                (["--rows", file("swapped.safetensors"), "--run", "r"] + base, "Capture the task on this base."),
                (
                    ["--rows", file("captures/alpha.safetensors"), "--run", "r", "--bias", "z*"],
                    "the pattern \"z*\" of \"bias\" matches none of the 4 captured layers."
                ),
            ]
            for (arguments, sentence) in cases {
                let result = try await Client.run(["push"] + arguments, in: model.directory)
                #expect(result.exitCode == 2, "\(arguments)")
                #expect(result.errors.contains(sentence), "\(result.errors)")
            }
        }

        @Test func `kfacctl names the row that is not finite before it reduces it`() async throws {
            var captured = try #require(model.captures["alpha"])
            captured.tensors = captured.tensors.map { tensor in
                tensor.name == "q.output_grad" ? tensor.replacing(40 * tensor.shape[1], with: .infinity) : tensor
            }
            let path = model.directory.appending("infinite.safetensors")
            try captured.write(to: path)
            try await Cluster.with { cluster in
                try await startRowWorkers(1, cluster)
                let result = try await stream(cluster, [path], run: "r", ["--normalization", "reduce"])
                #expect(result.exitCode == 2)
                #expect(
                    result.errors.contains(
                        "tensor \"q.output_grad\": row 40 holds NaN or infinity; expected finite values."),
                    "\(result.errors)")
                try await eventually("the end of the stream") {
                    try await self.runs(cluster).isEmpty
                }
            }
        }
    }
}
