import Foundation
import TestSupport
import Testing

extension SerialIntegrationTests {
    /// The example of a client in another language, over a real socket.
    @Suite(.enabled(if: Python.canPush, Python.pushReason), .timeLimit(.minutes(5)))
    struct PythonPushTests: RowStreamSuite {
        let model: SmallModel

        init() throws {
            model = try SmallModel()
            model.job.outputs = ["factors", "report"]
        }

        @Test func `pushes, goes on, repeats and is refused, and its files give the bytes of files from the disk`()
            async throws
        {
            let files = try writePartials(ranks: 2, flushes: 1).flatMap(\.self)
            let expected = try await expected()
            let modules = model.directory.appending("modules")
            try FileManager.default.createDirectory(atPath: modules, withIntermediateDirectories: false)
            let generated = try Python.generateMessages(in: modules)
            try #require(generated.status == 0, "\(generated.output)")
            try await Cluster.with { cluster in
                let result = try Python.run(
                    Self.script, modules, Python.pushDirectory, cluster.endpoint, files.joined(separator: "\n"))
                #expect(result.status == 0 && result.output == "done\n", "\(result.output)")
                try cluster.startWorker("w")
                try use({ "run:\($0)" }, output: "pushed")
                let submitted = try await cluster.client("submit", model.jobPath, "--watch")
                try #require(submitted.exitCode == 0, "\(submitted.errors)")
                #expect(try factors("pushed") == expected)
            }
        }

        @Test(.enabled(if: GuardedCluster.address != nil, "this machine has no address but loopback"))
        func `pushes with keys, and a reader's key is refused`() async throws {
            let files = try writePartials(ranks: 2, flushes: 1).flatMap(\.self)
            let cluster = try await GuardedCluster(holders: ["boss": ["submitter"], "ci": ["reader"]])
            try await cluster.startCoordinator(roots: [model.directory.path])
            let modules = model.directory.appending("modules")
            try FileManager.default.createDirectory(atPath: modules, withIntermediateDirectories: false)
            let generated = try Python.generateMessages(in: modules)
            try #require(generated.status == 0, "\(generated.output)")
            for (key, output) in [("boss", "pushed\n"), ("ci", "pushing needs submitter")] {
                let result = try Python.run(
                    Self.keyScript, modules, Python.pushDirectory, cluster.endpoint, cluster.serverKey,
                    cluster.secret(key),
                    files[0])
                #expect(result.output.contains(output), "\(result.output)")
            }
        }

        @Test func `streams rows in pieces and in turn, and its sums have the bytes of those by kfacctl`() async throws
        {
            let path = model.directory.appending("captures/alpha.safetensors")
            let modules = model.directory.appending("modules")
            try FileManager.default.createDirectory(atPath: modules, withIntermediateDirectories: false)
            let generated = try Python.generateMessages(in: modules)
            try #require(generated.status == 0, "\(generated.output)")
            try await Cluster.with { cluster in
                try await startRowWorkers(2, cluster)
                try await requireStream(cluster, [path], run: "kfacctl")
                let result = try Python.run(
                    Self.streamScript, modules, Python.pushDirectory, cluster.endpoint, path)
                #expect(result.status == 0 && result.output == "done\n", "\(result.output)")
                let files = try ["kfacctl", "python"].map { run in
                    let name = try #require(try storedNames(cluster, run).first)
                    return try TensorFile(reading: cluster.directory.appending("state/runs/\(run)/\(name)"))
                }
                #expect(files[0].tensors.map(\.name) == files[1].tensors.map(\.name))
                #expect(files[0].tensors.map(\.bytes) == files[1].tensors.map(\.bytes))
                #expect(files[0].metadata["samples"] != nil && files[0].metadata["bias"] == files[1].metadata["bias"])
            }
        }

        private static let streamScript = """
            import json, struct, sys
            sys.path += sys.argv[1:3]
            import push
            from stream import Ended, RowStream
            data = open(sys.argv[4], "rb").read()
            (length,) = struct.unpack("<Q", data[:8])
            header = json.loads(data[8 : 8 + length])
            def rows(name, first, last):
                begin, end = header[name]["data_offsets"]
                width = 4 * header[name]["shape"][1]
                return data[8 + length + begin + first * width : 8 + length + min(begin + last * width, end)]
            bias = {"fc": False, "k": True, "q": True, "v": True}
            metadata = {
                "task": "alpha", "probes": "2", "normalization": "tak",
                "bias": json.dumps(bias, separators=(",", ":")),
            }
            # q, k and v read the same rows.
            sources = {("q.A", "k.A", "v.A"): "q.input", ("fc.A",): "fc.input", ("norm.weight.F",): "norm.weight.grad"}
            sources |= {(f"{layer}.B",): f"{layer}.output_grad" for layer in bias}
            sums = {names: header[source]["shape"][1] for names, source in sources.items()}
            coordinator = push.Coordinator(sys.argv[3])
            def send(stream):
                for first in range(0, 72, 7):
                    for names, source in sources.items():
                        piece = rows(source, first, first + 7)
                        if piece: stream.rows(names[-1], piece, "F32")
            # A training loop that fails leaves nothing.
            try:
                with RowStream(coordinator, "python", 0, 0, metadata, sums) as stream:
                    send(stream)
                    raise KeyError("the loop's own")
            except KeyError:
                pass
            try:
                with RowStream(coordinator, "python", 0, 0, metadata, sums) as stream:
                    send(stream)
                    stream.commit(samples=11)
                raise AssertionError("wrong counts were taken")
            except push.Refused as refusal:
                assert refusal.kind == "bad_input" and "rows came; expected" in str(refusal), refusal
            with RowStream(coordinator, "python", 0, 0, metadata, sums) as stream:
                assert not stream.is_whole
                send(stream)
                stream.commit(samples=12)
            with RowStream(coordinator, "python", 0, 0, metadata, sums) as stream:
                assert stream.is_whole
                send(stream)
                stream.commit(samples=12)
            coordinator.close()
            print("done")
            """

        private static let script = """
            import sys
            sys.path += sys.argv[1:3]
            import push, kfacd_pb2 as wire
            endpoint, files = sys.argv[3], sys.argv[4].split("\\n")
            first = push.Coordinator(endpoint)
            assert len(first.ask(jobs=wire.ListJobs()).jobs.jobs) == 0
            # A process that ends in the middle, and another one that goes on.
            assert push.push(first, files[0], stop_after=1000) == 1000
            first.close()
            second = push.Coordinator(endpoint)
            size = push.offer_of(files[0]).file.byte_count
            while True:
                try:
                    assert push.push(second, files[0]) == size - 1000
                    break
                except push.Refused as refusal:
                    assert refusal.kind == "busy", refusal
            assert push.push(second, files[0]) == 0
            for file in files[1:]: assert push.push(second, file) == push.offer_of(file).file.byte_count
            runs = second.ask(runs=wire.ListRuns()).runs.runs
            assert [(run.run, run.files, run.ranks) for run in runs] == [(n, 2, 2) for n in ("alpha", "beta", "gamma")]
            # Other bytes for the same rank and sequence.
            content = bytearray(open(files[0], "rb").read())
            content[-1] ^= 1
            open(files[0], "wb").write(content)
            try:
                push.push(second, files[0])
                raise AssertionError("other bytes were taken")
            except push.Refused as refusal:
                assert refusal.kind == "bad_input" and "other bytes stand there" in str(refusal), refusal
            second.close()
            print("done")
            """

        private static let keyScript = """
            import sys
            sys.path += sys.argv[1:3]
            import push
            sys.argv = ["push", "--coordinator", sys.argv[3], "--server-key", sys.argv[4], "--secret-key"] + sys.argv[5:]
            sys.exit(push.main())
            """
    }
}
