import Foundation
import TestSupport
import Testing

extension SerialIntegrationTests {
    /// The bundled example with the optimal form: compares the written products with sums of the written factors.
    @Suite struct OptimalRegularizerTests {
        private static let tasks = ["fashion", "hdigits", "numerals", "hebrew"]
        private static let example = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent().appendingPathComponent("Examples/small").path

        private let directory: TemporaryDirectory

        init() throws { directory = try TemporaryDirectory() }

        private func run(workers: Int, _ regularizer: String) async throws -> String {
            let output = directory.appending("out-\(workers)")
            var job = JobFile(base: "\(Self.example)/base.safetensors", output: output)
            job.tasks = Self.tasks.map { task in
                JobFile.Task(
                    model: "\(Self.example)/checkpoints/\(task).safetensors",
                    captures: ["\(Self.example)/captures/\(task).safetensors"])
            }
            job.curvature = ["regularizer: \(regularizer)"]
            job.outputs = ["factors", "regularizer", "report"]
            let path = directory.appending("job-\(workers).yaml")
            try job.write(to: path)
            try await Client.runJob(path, workers: workers, in: directory)
            return output
        }

        private func object(_ data: Data) throws -> [String: Any] {
            try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
        }

        private func factors(_ output: String) throws -> [String: TensorFile] {
            var factors: [String: TensorFile] = [:]
            for task in Self.tasks {
                factors[task] = try TensorFile(reading: "\(output)/factors/\(task)/factors.safetensors")
            }
            return factors
        }

        /// Σ c_t X_t of the written factors.
        private func sum(
            _ coefficients: [String: Double], _ name: String, _ factors: [String: TensorFile]
        ) throws -> [Double] {
            var sum: [Double] = []
            for (task, coefficient) in coefficients.sorted(by: { $0.key < $1.key }) {
                let values = try #require(factors[task]).tensor(name).values
                if sum.isEmpty { sum = [Double](repeating: 0, count: values.count) }
                for index in values.indices { sum[index] += coefficient * values[index] }
            }
            return sum
        }

        /// A sum of Kronecker products c · B ⊗ A.
        private typealias Products = [(scale: Double, gradient: [Double], input: [Double])]

        private func dot(_ left: Products, _ right: Products) -> Double {
            var sum = 0.0
            for one in left {
                for other in right {
                    sum += one.scale * other.scale * dot(one.gradient, other.gradient) * dot(one.input, other.input)
                }
            }
            return sum
        }

        private func dot(_ left: [Double], _ right: [Double]) -> Double {
            zip(left, right).reduce(0) { $0 + $1.0 * $1.1 }
        }

        /// tr(B Δ A Δᵀ) of a layer.
        private func penalty(_ gradient: [Double], _ input: [Double], _ delta: [Double]) -> Double {
            let (rows, columns) = (Int(Double(gradient.count).squareRoot()), Int(Double(input.count).squareRoot()))
            var sum = 0.0
            for row in 0..<rows {
                for column in 0..<columns {
                    let image = (0..<columns).reduce(0) {
                        $0 + delta[row * columns + $1] * input[$1 * columns + column]
                    }
                    for other in 0..<rows {
                        sum += gradient[row * rows + other] * image * delta[other * columns + column]
                    }
                }
            }
            return sum
        }

        /// [ΔW, Δb] of a task in a layer.
        private func delta(_ task: String, _ layer: String, hasBias: Bool) throws -> [Double] {
            let base = try TensorFile(reading: "\(Self.example)/base.safetensors")
            let moved = try TensorFile(reading: "\(Self.example)/checkpoints/\(task).safetensors")
            func difference(_ name: String) throws -> [Double] {
                zip(try moved.tensor(name).values, try base.tensor(name).values).map { $0 - $1 }
            }
            let weight = try difference("\(layer).weight")
            guard hasBias else { return weight }
            let bias = try difference("\(layer).bias")
            let columns = weight.count / bias.count
            return bias.indices.flatMap { weight[$0 * columns..<($0 + 1) * columns] + [bias[$0]] }
        }

        private func check(_ target: String, _ output: String, _ known: [String: TensorFile]) throws {
            let file = try TensorFile(reading: "\(output)/regularizer/\(target)/regularizer.safetensors")
            #expect(file.metadata["form"] == "optimal" && file.metadata["rank"] == "2")
            let lambda = try object(Data((file.metadata["lambda"] ?? "").utf8)).compactMapValues { $0 as? Double }
            try #require(lambda.keys.sorted() == Self.tasks.filter { $0 != target }.sorted())
            let coefficients = try object(Data((file.metadata["coefficients"] ?? "").utf8))
            let errors = try object(Data((file.metadata["relative_error"] ?? "").utf8))
            let biased = try object(Data((file.metadata["bias"] ?? "").utf8))
            let report = try object(try Data(contentsOf: URL(fileURLWithPath: "\(output)/report.json")))
            let rows = try #require(report["layers"] as? [[String: Any]])
            let penalties = try #require((report["penalties"] as? [String: [String: Double]])?[target])

            for (layer, value) in coefficients {
                let terms = try #require(value as? [[String: [String: Double]]])
                try #require(terms.count == 2)
                var (written, expectedPenalty): (Products, Double) = ([], 0)
                let delta = try delta(target, layer, hasBias: biased[layer] as? Bool ?? false)
                for (prefix, term) in zip(["", "term2/"], terms) {
                    for side in ["A", "B"] {
                        let named = try #require(term[side])
                        #expect(named.keys.sorted() == lambda.keys.sorted() && named.values.allSatisfy { $0 >= 0 })
                        let found = try file.tensor("\(prefix)\(layer).\(side)").values
                        #expect(relativeDistance(found, try sum(named, "\(layer).\(side)", known)) < 1e-6)
                    }
                    let gradient = try file.tensor("\(prefix)\(layer).B").values
                    let input = try file.tensor("\(prefix)\(layer).A").values
                    // The scale of the paper, for a sum of three tasks.
                    written.append((-1.0 / 3, gradient, input))
                    expectedPenalty += penalty(gradient, input, delta)
                }
                expectClose(try #require(penalties[layer]), expectedPenalty, relative: 1e-5)

                let exact: Products = try lambda.map { task, lambda in
                    let factors = try #require(known[task])
                    return (lambda, try factors.tensor("\(layer).B").values, try factors.tensor("\(layer).A").values)
                }
                let rest = exact + written
                let error = (dot(rest, rest) / dot(exact, exact)).squareRoot()
                expectClose(try #require(errors[layer] as? Double), error, relative: 1e-4)
                let row = try #require(rows.first { $0["name"] as? String == layer })
                let stated = try #require((row["optimal_error"] as? [String: Double])?[target])
                #expect(stated == errors[layer] as? Double)
                #expect(error < (try #require((row["accumulation_error"] as? [String: Double])?[target])))
            }
            let layers = rows.filter { $0["accumulation_error"] != nil }.compactMap { $0["name"] as? String }
            #expect(coefficients.keys.sorted() == layers.sorted())
            for tensor in file.tensors where tensor.name.hasSuffix(".F") {
                #expect(!tensor.name.hasPrefix("term"))
                #expect(relativeDistance(tensor.values, try sum(lambda, tensor.name, known)) < 1e-6)
            }
        }

        @Test
        func `two products a layer are what their coefficients say, closer than eq 8, with any number of workers`()
            async throws
        {
            let one = try await run(workers: 1, "{form: optimal, rank: 2}")
            let two = try await run(workers: 2, "{form: optimal, rank: 2}")
            let known = try factors(one)
            for target in Self.tasks { try check(target, one, known) }
            try requireSameBytes(two, one)
        }

        @Test func `a plan and an inspection say form and rank`() async throws {
            let output = try await run(workers: 1, "{form: optimal, rank: 2, targets: [hdigits]}")
            let file = "\(output)/regularizer/hdigits/regularizer.safetensors"
            let inspection = try await Client.run(["inspect", file], in: directory)
            #expect(inspection.output.contains("\nform: optimal\n"), "\(inspection.output)")
            #expect(inspection.output.contains("\nrank: 2\n"))
            #expect(inspection.output.contains("term2/blocks.0.fc1.A"))
            let plan = try await Client.run(["plan", directory.appending("job-1.yaml"), "--overwrite"], in: directory)
            #expect(plan.output.contains("\nregularizers: optimal of rank 2\n"), "\(plan.output) \(plan.errors)")
            let tables = try await Client.run(["inspect", file, "--output", "json"], in: directory)
            #expect(tables.exitCode == 0)
        }
    }
}
