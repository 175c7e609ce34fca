import Foundation
import TestSupport
import Testing

/// A suite whose model's partial sums are pushed to a coordinator.
protocol PushSuite {
    var model: SmallModel { get }
}

extension PushSuite {
    /// Writes the partial sums of all tasks, and returns the paths of each task's files.
    func writePartials(ranks: Int, flushes: Int, run: String? = nil) throws -> [[String]] {
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
    func use(_ factors: (String) -> String, output: String) throws {
        for (index, name) in SmallModel.taskNames.enumerated() {
            model.job.tasks[index].captures = []
            model.job.tasks[index].factors = factors(name)
        }
        model.job.output = output
        try model.write()
    }

    func push(_ cluster: Cluster, _ paths: [String]) async throws -> CommandResult {
        try await Client.run(
            ["push", "--quiet"] + paths, in: cluster.directory, environment: ["KFACD_COORDINATOR": cluster.endpoint]
        )
    }

    func requirePush(
        _ cluster: Cluster, _ paths: [String], sourceLocation: SourceLocation = #_sourceLocation
    ) async throws {
        let result = try await push(cluster, paths)
        try #require(result.exitCode == 0, "\(result.errors)", sourceLocation: sourceLocation)
    }

    func runs(_ cluster: Cluster) async throws -> [[String: Any]] {
        let result = try await cluster.client("runs", "--output", "json")
        try #require(result.exitCode == 0, "\(result.errors)")
        return try #require(try result.json["runs"] as? [[String: Any]])
    }

    func factors(_ output: String) throws -> [Data] {
        try SmallModel.taskNames.map {
            try Data(
                contentsOf: URL(
                    fileURLWithPath: model.directory.appending("\(output)/factors/\($0)/factors.safetensors")))
        }
    }

    /// The factors of the same files from the disk.
    func expected(_ output: String = "files") async throws -> [Data] {
        try use({ "partials/\($0)" }, output: output)
        try await model.run()
        return try factors(output)
    }

    /// A valid file of so many MiB: the sums of one layer, all zero.
    func writeLarge(mebibytes: Int) throws -> String {
        let dimension = Int(Double(mebibytes << 18).squareRoot())
        let sizes = [("fc.A", dimension * (dimension + 1) / 2), ("fc.B", 1)]
        let path = model.directory.appending("large.safetensors")
        try TensorFile(
            sizes.map { Tensor($0, .float64, [$1], bytes: Data(count: 8 * $1)) },
            metadata: [
                "format": "kfacd.partials/1", "task": "alpha", "run": "large", "rank": "0", "sequence": "0",
                "rows": "1", "samples": "1", "probes": "1", "normalization": "tak", "bias": "{\"fc\":false}",
            ]
        ).write(to: path)
        return path
    }
}
