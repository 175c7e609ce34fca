import Foundation
import TestSupport
import Testing
import WireProtocol

/// A suite whose model's captures are streamed to workers.
protocol RowStreamSuite: PushSuite {}

extension RowStreamSuite {
    /// The names of the layers of ``SmallModel``, and whether they have a bias.
    static var layers: [(name: String, hasBias: Bool)] { [("fc", false), ("k", true), ("q", true), ("v", true)] }

    /// Starts workers that take rows, and waits for them.
    @discardableResult
    func startRowWorkers(_ count: Int, _ cluster: Cluster) async throws -> [RunningProgram] {
        let workers = try (0..<count).map { try cluster.startWorker("w\($0)", options: ["--row-memory", "256"]) }
        try await cluster.waitForWorkers(count)
        return workers
    }

    /// The captures of some samples.
    func part(of capture: TensorFile, _ samples: Range<Int>) -> TensorFile {
        var part = capture
        part.metadata["samples"] = "\(samples.count)"
        part.tensors = capture.tensors.map { tensor in
            let positions = tensor.name.hasSuffix("weight.grad") ? 1 : SmallModel.positions
            let probes = tensor.name.hasSuffix(".input") ? 1 : SmallModel.probes
            let blocks = (0..<probes).map { probe in
                let first = probe * SmallModel.samples
                return tensor.rows((first + samples.lowerBound) * positions..<(first + samples.upperBound) * positions)
            }
            let rows = blocks.reduce(0) { $0 + $1.shape[0] }
            return Tensor(
                tensor.name, tensor.elementType, [rows] + tensor.shape.dropFirst(),
                bytes: blocks.reduce(Data()) { $0 + $1.bytes })
        }
        return part
    }

    /// Streams captures with `kfacctl`.
    func stream(_ cluster: Cluster, _ paths: [String], run: String, _ options: [String] = []) async throws
        -> CommandResult
    {
        let all =
            ["push", "--quiet", "--rows"] + paths + [
                "--run", run, "--base", model.directory.appending("base.safetensors"),
            ]
        return try await Client.run(
            all + options, in: cluster.directory, environment: ["KFACD_COORDINATOR": cluster.endpoint])
    }

    func requireStream(
        _ cluster: Cluster, _ paths: [String], run: String, _ options: [String] = [],
        sourceLocation: SourceLocation = #_sourceLocation
    ) async throws {
        let result = try await stream(cluster, paths, run: run, options)
        try #require(result.exitCode == 0, "\(result.errors)", sourceLocation: sourceLocation)
    }

    /// Streams every task as the runs of some ranks.
    func streamAll(
        _ cluster: Cluster, ranks: Int, normalization: String, _ options: [String] = []
    ) async throws {
        for name in SmallModel.taskNames {
            let capture = try #require(model.captures[name])
            for (rank, _, samples) in PartialSums.split(ranks: ranks, flushes: 1) {
                let path = model.directory.appending("parts/\(name)-\(rank).safetensors")
                try part(of: capture, samples).write(to: path)
                try await requireStream(
                    cluster, [path], run: name, ["--rank", "\(rank)", "--normalization", normalization] + options)
            }
        }
    }

    /// The files of a run as the coordinator stores them; their names have their digests.
    func storedNames(_ cluster: Cluster, _ run: String) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: cluster.directory.appending("state/runs/\(run)"))
            .filter { $0.hasSuffix(".safetensors") }.sorted()
    }

    /// What a client announces for a task's captures.
    func rowOffer(of capture: TensorFile) throws -> RowStreamOffer {
        let bias = Self.layers.map { "\"\($0.name)\":\($0.hasBias)" }.joined(separator: ",")
        return RowStreamOffer(
            metadata: [
                "task": capture.metadata["task"] ?? "", "probes": "\(SmallModel.probes)", "normalization": "tak",
                "bias": "{\(bias)}",
            ],
            sums: try Self.layers.flatMap { layer, _ in
                [
                    RowStreamOffer.Sum(
                        tensors: ["\(layer).A"], columns: try capture.tensor("\(layer).input").shape[1]),
                    RowStreamOffer.Sum(
                        tensors: ["\(layer).B"], columns: try capture.tensor("\(layer).output_grad").shape[1]),
                ]
            } + [
                RowStreamOffer.Sum(tensors: ["norm.weight.F"], columns: try capture.tensor("norm.weight.grad").shape[1])
            ])
    }

    /// The captured tensors in the order of the announced sums.
    func rowTensors(of capture: TensorFile) throws -> [Tensor] {
        try Self.layers.flatMap {
            [try capture.tensor("\($0.name).input"), try capture.tensor("\($0.name).output_grad")]
        }
            + [try capture.tensor("norm.weight.grad")]
    }
}
