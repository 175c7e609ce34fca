import Foundation
import TestSupport
import Testing

extension SerialIntegrationTests {
    /// An embedding and the head that is tied to it, over the vocabulary of GPT-2.
    @Suite(.timeLimit(.minutes(10))) struct VocabularyTests {
        private static let (vocabulary, width, rows) = (50_257, 8, 12)
        private static let tasks = ["alpha", "beta"]

        private let directory: TemporaryDirectory
        private var base = Tensor("", [0], [])
        private var models: [String: Tensor] = [:]
        private var ids: [String: [Int32]] = [:]
        private var gradients: [String: [Float]] = [:]
        private var job = JobFile()

        init() throws {
            directory = try TemporaryDirectory()
            var random = SplitMix64(seed: 5)
            func numbers(_ count: Int) -> [Float] {
                (0..<count).map { _ in Float(random.next() >> 48) / 32768 - 1 }
            }
            func weight() -> Tensor {
                Tensor("wte.weight", [Self.vocabulary, Self.width], numbers(Self.vocabulary * Self.width))
                    .converted(to: .bfloat16)
            }
            base = weight()
            try TensorFile([base], metadata: ["lm_head.weight": "wte.weight"]).write(
                to: directory.appending("base.safetensors"))
            for task in Self.tasks {
                let own = weight()
                models[task] = own
                try TensorFile([own]).write(to: directory.appending("\(task).safetensors"))
                let ids = (0..<Self.rows).map { Int32(($0 * 4999 * task.count + $0 / 3) % Self.vocabulary) }
                self.ids[task] = ids
                let wide = numbers(Self.rows * Self.vocabulary)
                gradients[task] = wide
                try TensorFile(
                    [
                        Tensor("wte.input", .int32, [Self.rows], bytes: ids.withUnsafeBytes { Data($0) }),
                        Tensor("wte.output_grad", [Self.rows, Self.width], numbers(Self.rows * Self.width)),
                        Tensor("lm_head.input", [Self.rows, Self.width], numbers(Self.rows * Self.width)),
                        Tensor("lm_head.output_grad", [Self.rows, Self.vocabulary], wide),
                    ],
                    metadata: [
                        "format": "kfacd.capture/1", "samples": "\(Self.rows)", "task": task,
                        "diagonal": #"["lm_head.B"]"#,
                    ]
                ).write(to: directory.appending("\(task)-captures.safetensors"))
                job.tasks.append(
                    JobFile.Task(name: task, model: "\(task).safetensors", captures: ["\(task)-captures.safetensors"]))
            }
            job.method = "kfac"
            job.others = ["dtype: float32"]
            job.outputs = ["factors", "merged", "report"]
        }

        private func run(_ output: String) async throws -> String {
            var job = job
            job.output = output
            try job.write(to: directory.appending("job.yaml"))
            try await Client.runJob(directory.appending("job.yaml"), in: directory, options: ["--quiet"])
            return directory.appending(output)
        }

        @Test func `the factors of an embedding and a head alone are counts and sums of squares`() async throws {
            var own = self
            own.job.outputs = ["factors", "report"]
            for layer in ["wte", "lm_head"] {
                own.job.curvature = ["layers: [\(layer)]"]
                let output = try await own.run(layer)
                for task in Self.tasks {
                    let file = try TensorFile(reading: "\(output)/factors/\(task)/factors.safetensors")
                    var expected = [Double](repeating: 0, count: Self.vocabulary)
                    if layer == "wte" {
                        for id in try #require(ids[task]) { expected[Int(id)] += 1 / Double(Self.rows) }
                    } else {
                        for (place, value) in try #require(gradients[task]).enumerated() {
                            expected[place % Self.vocabulary] += Double(value) * Double(value) / Double(Self.rows)
                        }
                    }
                    let side = try file.tensor(layer == "wte" ? "wte.A" : "lm_head.B")
                    #expect(side.shape == [Self.vocabulary])
                    #expect(relativeDistance(side.values, expected) < 1e-6)
                    #expect(try file.tensor(layer == "wte" ? "wte.B" : "lm_head.A").shape == [Self.width, Self.width])
                }
            }
        }

        /// A token's row merges alone, because A is a diagonal:
        /// Δ_v = (B̄ + γ_B I)⁻¹ Σ λ_t (a_tv + γ_A) (B_t + γ_B I) Δ_tv / (ā_v + γ_A).
        @Test func `a tied weight merges token by token`() async throws {
            let output = try await run("out")
            let factors = try Self.tasks.map { task in
                let file = try TensorFile(reading: "\(output)/factors/\(task)/factors.safetensors")
                #expect(file.tensors.map(\.shape) == [[Self.vocabulary], [Self.width, Self.width]])
                return (
                    a: try file.tensor("wte.A").values,
                    b: DenseMatrix(Self.width, Self.width, try file.tensor("wte.B").values)
                )
            }
            let mean = (0..<Self.vocabulary).map { token in factors.reduce(0) { $0 + $1.a[token] / 2 } }
            let gamma = 0.1 * mean.reduce(0, +) / Double(Self.vocabulary)
            let middle = factors.map { 0.5 * $0.b }.sum
            let gammaB = 0.1 * middle.trace / Double(Self.width)
            let merged = try TensorFile(reading: "\(output)/merged/model.safetensors").tensor("wte.weight").values
            let origin = base.values
            let vectors = try Self.tasks.map { try #require(models[$0]).values }
            let tokens = try Self.tasks.flatMap { try #require(ids[$0]).map(Int.init) } + [0, 77, Self.vocabulary - 1]
            for token in tokens {
                let places = token * Self.width..<(token + 1) * Self.width
                let right = zip(factors, vectors).map { factor, vector in
                    let delta = DenseMatrix(Self.width, 1, places.map { vector[$0] - origin[$0] })
                    return (0.5 * (factor.a[token] + gamma)) * (factor.b.adding(gammaB) * delta)
                }.sum
                let solved = middle.adding(gammaB).solving(right.elements).map { $0 / (mean[token] + gamma) }
                let found = places.map { merged[$0] - origin[$0] }
                #expect(relativeDistance(found, solved) < 1e-5, "token \(token)")
            }
        }
    }
}
