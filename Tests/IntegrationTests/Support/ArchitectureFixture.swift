import Foundation
import TestSupport
import Testing

/// A tiny model of a common architecture with its checkpoints, captures and partial sums, and the values that a job
/// must give.
///
/// `Fixtures/make_architectures.py` wrote all of it but the job file, with PyTorch and without this code.
struct ArchitectureFixture {
    /// What a task's counts must be.
    struct Counts: Decodable {
        let samples: Int
        let rows: [String: Int]
    }

    static let tasks = ["satellite", "digits"]
    static let probes = 2

    let directory: TemporaryDirectory
    /// The normalization of the partial sums, which the first task has.
    let partialsNormalization: String
    /// Layers without curvature under `reduce`.
    let flatUnderReduce: [String]
    /// The base's names of the captured layers and parameters.
    let storedNames: [String: String]
    let base: TensorFile
    private let name: String
    private let values: TensorFile
    private let job: String

    /// Copies the fixture.
    ///
    /// - Throws: what Foundation or a requirement throws when a file is missing or malformed.
    init(_ name: String) throws {
        self.name = name
        directory = try TemporaryDirectory()
        let fixture = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .appendingPathComponent("Fixtures/\(name)").path
        try FileManager.default.copyItem(atPath: fixture, toPath: directory.appending(name))
        values = try TensorFile(reading: "\(fixture)/expected.safetensors")
        job = try String(contentsOfFile: "\(fixture)/job.yaml", encoding: .utf8)
        partialsNormalization = try #require(values.metadata["normalization_of_partials"])
        flatUnderReduce = try Self.decoded(values.metadata["flat_under_reduce"])
        storedNames = try Self.decoded(values.metadata["stored_names"])
        let places = ["\(fixture)/base/model.safetensors", "\(fixture)/base.safetensors"]
        base = try TensorFile(
            reading: try #require(places.first { FileManager.default.fileExists(atPath: $0) }))
    }

    /// Where the tasks' curvature comes from.
    enum Source {
        case captures
        /// The first task's partial sums, and the captures of the other.
        case partials
        /// Runs of the tasks' names.
        case runs
    }

    /// Writes the fixture's job with a normalization, and returns its path.
    ///
    /// - Throws: what Foundation throws when the file cannot be written.
    func writeJob(
        _ normalization: String, into output: String, from source: Source = .captures,
        outputs: String = "factors, merged, report"
    ) throws -> String {
        var text = job.replacing("normalization: tak", with: "normalization: \(normalization)")
            .replacing("output: out", with: "output: \(output)")
            .replacing("outputs: [factors, merged, report]", with: "outputs: [\(outputs)]")
        if normalization == "reduce", !flatUnderReduce.isEmpty {
            let patterns = (["*"] + flatUnderReduce.map { "!\($0)" }).map { "\"\($0)\"" }
            text = text.replacing("kfac:\n", with: "kfac:\n  layers: [\(patterns.joined(separator: ", "))]\n")
        }
        for (index, task) in Self.tasks.enumerated() {
            let factors: String? =
                switch source {
                case .captures: nil
                case .partials: index == 0 ? "partials/*.safetensors" : nil
                case .runs: "run:\(task)"
                }
            guard let factors else { continue }
            text = text.replacing("captures: captures/\(task).safetensors", with: "factors: \(factors)")
        }
        let path = directory.appending("\(name)/job.yaml")
        try Data(text.utf8).write(to: URL(fileURLWithPath: path))
        return path
    }

    /// Runs the fixture's job with a normalization, with the first task's partial sums or its captures.
    ///
    /// - Returns: The output directory.
    /// - Throws: what the requirement of success throws.
    func run(
        _ normalization: String, into output: String, workers: Int = 1, usingPartials: Bool = false,
        outputs: String = "factors, merged, report"
    ) async throws -> String {
        let path = try writeJob(
            normalization, into: output, from: usingPartials ? .partials : .captures, outputs: outputs)
        try await Client.runJob(path, workers: workers, in: directory, options: ["--quiet"])
        return directory.appending("\(name)/\(output)")
    }

    /// Streams the rows of all captures to a cluster, and runs the fixture's job with their sums.
    ///
    /// - Returns: The output directory.
    /// - Throws: what the requirement of success throws.
    func runStreams(_ normalization: String, into output: String, on cluster: Cluster) async throws -> String {
        // Layers that the job renames are not in the base by their captured names; none of them has a bias.
        let base =
            FileManager.default.fileExists(atPath: directory.appending("\(name)/base")) ? "base" : "base.safetensors"
        let bias = job.contains("rename:") ? ["--no-bias"] : ["--base", directory.appending("\(name)/\(base)")]
        for task in Self.tasks {
            let result = try await Client.run(
                [
                    "push", "--quiet", "--rows", directory.appending("\(name)/captures/\(task).safetensors"), "--run",
                    task, "--normalization", normalization,
                ] + bias, in: directory, environment: ["KFACD_COORDINATOR": cluster.endpoint])
            try #require(result.exitCode == 0, "\(result.errors)")
        }
        let path = try writeJob(normalization, into: output, from: .runs)
        let result = try await cluster.client("submit", path, "--watch")
        try #require(result.exitCode == 0, "\(result.errors)")
        return directory.appending("\(name)/\(output)")
    }

    // MARK: - What must come out

    /// The values of a task's factors, or of the merge.
    func expected(_ group: String, _ normalization: String) -> [String: [Double]] {
        var expected: [String: [Double]] = [:]
        for source in Set(["tak", normalization]).sorted(by: { ($0 == "tak" ? 0 : 1) < ($1 == "tak" ? 0 : 1) }) {
            let prefix = "\(group)/\(source)/"
            for tensor in values.tensors where tensor.name.hasPrefix(prefix) {
                expected[String(tensor.name.dropFirst(prefix.count))] = tensor.values
            }
        }
        guard normalization == "reduce" else { return expected }
        return expected.filter { name, _ in !flatUnderReduce.contains { name == "\($0).A" || name == "\($0).B" } }
    }

    /// A task's counts.
    ///
    /// - Throws: what the requirement or the decoder throws when they are missing.
    func counts(_ task: String) throws -> Counts {
        try Self.decoded(values.metadata[task])
    }

    private static func decoded<Value: Decodable>(_ text: String?) throws -> Value {
        try JSONDecoder().decode(Value.self, from: Data(try #require(text).utf8))
    }

    // MARK: - Partial sums

    private func partialsPath(_ rank: Int) -> String {
        directory.appending("\(name)/partials/\(rank).safetensors")
    }

    /// The partial sums that the job reads, by rank.
    ///
    /// - Throws: what the requirement throws when a file is malformed.
    func partials() throws -> [TensorFile] {
        var files: [TensorFile] = []
        while FileManager.default.fileExists(atPath: partialsPath(files.count)) {
            files.append(try TensorFile(reading: partialsPath(files.count)))
        }
        return files
    }

    /// Halves the number of ranks: each has the rows of two.
    ///
    /// - Throws: what a requirement throws when a file is malformed.
    func joinRanks() throws {
        let files = try partials()
        for rank in 0..<files.count / 2 {
            try Self.joined(files[2 * rank], files[2 * rank + 1], rank: rank).write(to: partialsPath(rank))
        }
        for rank in files.count / 2..<files.count { try FileManager.default.removeItem(atPath: partialsPath(rank)) }
    }

    private static func joined(_ first: TensorFile, _ second: TensorFile, rank: Int) throws -> TensorFile {
        var joined = first
        joined.tensors = try first.tensors.map { tensor in
            let sums = zip(tensor.values, try second.tensor(tensor.name).values).map(+)
            return Tensor(tensor.name, .float64, tensor.shape, bytes: sums.withUnsafeBytes { Data($0) })
        }
        func rows(_ file: TensorFile) throws -> [String: Int] { try decoded(file.metadata["rows"]) }
        let samples = [first, second].compactMap { $0.metadata["samples"].flatMap { Int($0) } }
        joined.metadata["samples"] = "\(samples.reduce(0, +))"
        joined.metadata["rows"] = String(
            decoding: try JSONEncoder().encode(try rows(first).merging(try rows(second), uniquingKeysWith: +)),
            as: UTF8.self)
        joined.metadata["rank"] = "\(rank)"
        return joined
    }
}
