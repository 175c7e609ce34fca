import Foundation
import TestSupport
import Testing

/// A language model in miniature: an embedding, a square layer, and a head that is tied to the embedding.
///
/// Samples have ``positions`` rows each. The captures hold all rows that there are; the same numbers stand here.
struct TiedModel {
    static let tasks = ["alpha", "beta"]
    static let (vocabulary, width, samples, positions, probes) = (7, 3, 12, 2, 2)
    static var rows: Int { samples * positions }

    /// The rows of a task.
    struct Rows {
        var ids: [Int]
        /// Inputs of `fc` and of the head.
        var hidden: [String: [[Double]]]
        /// Output gradients by layer, probe-major.
        var gradients: [String: [[Double]]]
    }

    let directory: TemporaryDirectory
    private(set) var base = TensorFile([])
    private(set) var checkpoints: [String: TensorFile] = [:]
    private(set) var rows: [String: Rows] = [:]
    var job = JobFile()

    init() throws {
        directory = try TemporaryDirectory()
        var random = SplitMix64(seed: 3)
        func row(_ count: Int) -> [Double] { random.values(count).map { Double(Float($0)) } }
        func parameters() -> [Tensor] {
            [("wte.weight", [Self.vocabulary, Self.width]), ("fc.weight", [Self.width, Self.width])].map {
                Tensor($0, $1, row($1.reduce(1, *)).map { Float($0) })
            }
        }
        base = TensorFile(parameters(), metadata: ["lm_head.weight": "wte.weight"])
        for task in Self.tasks {
            checkpoints[task] = TensorFile(parameters())
            rows[task] = Rows(
                // The last id never occurs.
                ids: (0..<Self.rows).map { ($0 * $0 + task.count + $0 / 3) % (Self.vocabulary - 1) },
                hidden: Dictionary(
                    uniqueKeysWithValues: ["fc", "lm_head"].map { ($0, (0..<Self.rows).map { _ in row(Self.width) }) }),
                gradients: Dictionary(
                    uniqueKeysWithValues: [("wte", Self.width), ("fc", Self.width), ("lm_head", Self.vocabulary)].map {
                        name, width in (name, (0..<Self.rows * Self.probes).map { _ in row(width) })
                    }))
            job.tasks.append(
                JobFile.Task(name: task, model: "\(task).safetensors", captures: ["\(task)-captures.safetensors"]))
        }
        job.method = "kfac"
        job.curvature = ["regularizer: {targets: all}"]
        try base.write(to: directory.appending("base.safetensors"))
        for (task, file) in checkpoints { try file.write(to: directory.appending("\(task).safetensors")) }
        for task in Self.tasks { try captures(of: task).write(to: directory.appending("\(task)-captures.safetensors")) }
    }

    /// A task's captures.
    ///
    /// Only one task states that the head's B is a diagonal, and the tasks have different types of indices.
    ///
    /// - Throws: what the requirement throws for a task without rows.
    func captures(of task: String) throws -> TensorFile {
        let rows = try #require(rows[task])
        func tensor(_ name: String, _ rows: [[Double]]) -> Tensor {
            Tensor(name, [rows.count, rows[0].count], rows.flatMap { $0 }.map { Float($0) })
        }
        let ids =
            task == "alpha"
            ? Tensor("wte.input", .int32, [Self.rows], bytes: rows.ids.map { Int32($0) }.withUnsafeBytes { Data($0) })
            : Tensor("wte.input", .int64, [Self.rows], bytes: rows.ids.map { Int64($0) }.withUnsafeBytes { Data($0) })
        var metadata = [
            "format": "kfacd.capture/1", "samples": "\(Self.samples)", "probes": "\(Self.probes)", "task": task,
        ]
        if task == "alpha" { metadata["diagonal"] = #"["lm_head.B"]"# }
        return TensorFile(
            [ids] + rows.hidden.sorted { $0.key < $1.key }.map { tensor("\($0.key).input", $0.value) }
                + rows.gradients.sorted { $0.key < $1.key }.map { tensor("\($0.key).output_grad", $0.value) },
            metadata: metadata)
    }

    /// Runs the job into an output of its own.
    ///
    /// - Throws: what the requirement of success throws.
    func run(_ output: String, workers: Int = 1) async throws -> String {
        var job = job
        job.output = output
        try job.write(to: directory.appending("job.yaml"))
        try await Client.runJob(
            directory.appending("job.yaml"), workers: workers, in: directory, options: ["--quiet"])
        return directory.appending(output)
    }

    // MARK: - Independent values, sample by sample

    /// Rows of one sample and probe, reduced to one for `reduce`.
    private static func reduced(_ rows: [[Double]], _ normalization: String, isMean: Bool) -> [[Double]] {
        guard normalization == "reduce" else { return rows }
        return stride(from: 0, to: rows.count, by: positions).map { first in
            rows[0].indices.map { column in
                (first..<first + positions).reduce(0) { $0 + rows[$1][column] } / (isMean ? Double(positions) : 1)
            }
        }
    }

    /// A or B of a captured layer as a whole matrix; the diagonal is taken where only it is kept.
    ///
    /// - Throws: what the requirement throws for a layer without rows.
    func factors(
        of layer: String, _ task: String, _ normalization: String = "tak"
    ) throws -> (input: DenseMatrix, gradient: DenseMatrix) {
        let rows = try #require(rows[task])
        let inputs =
            layer == "wte"
            ? rows.ids.map { id in (0..<Self.vocabulary).map { $0 == id ? 1.0 : 0 } } : try #require(rows.hidden[layer])
        let gradients = try #require(rows.gradients[layer])
        let (count, samples) = (Double(Self.rows), Double(Self.samples))
        let isReduced = normalization == "reduce"
        var input =
            1 / (isReduced ? samples : count)
            * DenseMatrix(
                gramOf: Self.reduced(inputs, normalization, isMean: true), dimension: inputs[0].count)
        var gradient =
            1 / (Double(Self.probes) * (normalization == "tak" ? count : samples))
            * DenseMatrix(
                gramOf: Self.reduced(gradients, normalization, isMean: false), dimension: gradients[0].count)
        if layer == "wte" { input = input.diagonalPart }
        if layer == "lm_head" { gradient = gradient.diagonalPart }
        return (input, gradient)
    }

    /// The nearest single product of both uses of the embedding, with tr A = 1, and its distance.
    ///
    /// - Throws: what the requirement throws for a task without rows.
    func summed(
        _ task: String, _ normalization: String = "tak"
    ) throws -> (input: DenseMatrix, gradient: DenseMatrix, error: Double) {
        let embedding = try factors(of: "wte", task, normalization)
        let head = try factors(of: "lm_head", task, normalization)
        let uses = [
            (input: embedding.input, gradient: embedding.gradient), (input: head.gradient, gradient: head.input),
        ]
        let nearest = Self.nearestProduct(uses)
        let exact = uses.map { $0.1.kronecker($0.0) }.sum
        let missed = exact + -1 * nearest.gradient.kronecker(nearest.input)
        return (
            nearest.input, nearest.gradient,
            (Self.dot(missed, missed) / Self.dot(exact, exact)).squareRoot()
        )
    }

    private static func dot(_ left: DenseMatrix, _ right: DenseMatrix) -> Double {
        zip(left.elements, right.elements).reduce(0) { $0 + $1.0 * $1.1 }
    }

    /// B ⊗ A nearest to Σ B_u ⊗ A_u, with tr A = 1: the leading singular pair of Σ vec(B_u) vec(A_u)ᵀ, by iteration.
    static func nearestProduct(
        _ uses: [(input: DenseMatrix, gradient: DenseMatrix)]
    ) -> (input: DenseMatrix, gradient: DenseMatrix) {
        var (a, b) = uses[0]
        for _ in 0..<500 {
            b = uses.map { dot($0.input, a) * $0.gradient }.sum
            b = 1 / dot(b, b).squareRoot() * b
            a = uses.map { dot($0.gradient, b) * $0.input }.sum
        }
        return (1 / a.trace * a, a.trace * b)
    }

    /// Δ of a weight as the matrix [d_out, d_in]: the embedding's is stored the other way round.
    ///
    /// - Throws: what the requirement throws for a missing tensor.
    func vector(_ task: String, _ layer: String) throws -> DenseMatrix {
        let name = "\(layer).weight"
        let checkpoint = try #require(checkpoints[task])
        let (own, origin) = (try checkpoint.tensor(name), try base.tensor(name).values)
        let stored = DenseMatrix(own.shape[0], own.shape[1], zip(own.values, origin).map { $0 - $1 })
        return layer == "wte" ? stored.transposed : stored
    }
}

extension DenseMatrix {
    /// The matrix without the elements off the diagonal.
    var diagonalPart: DenseMatrix {
        var result = DenseMatrix(rows, columns)
        for row in 0..<rows { result[row, row] = self[row, row] }
        return result
    }

    /// The elements of the diagonal.
    var diagonal: [Double] { (0..<rows).map { self[$0, $0] } }
}
