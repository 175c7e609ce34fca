import Foundation
import TestSupport
import Testing

extension SerialIntegrationTests {
    /// Padded sequences and routed experts, against a computation sample by sample in float64, by the equations of the
    /// design.
    @Suite(.timeLimit(.minutes(10))) struct RowCountTests {
        private typealias Factors = [String: DenseMatrix]

        private let model: RoutedModel

        init() throws { model = try RoutedModel() }

        // MARK: - The computation of the test

        private static func biased(_ layer: String) -> Bool { layer == "enc" }

        /// A and B of a task's layers that have rows, and F.
        private func factors(_ task: String, _ normalization: String) throws -> Factors {
            var factors: Factors = [:]
            let samples = Double(try #require(model.samples[task]))
            let probes = Double(RoutedModel.probes)
            for layer in RoutedModel.layers {
                let rows = try #require(model.rows[task]?[layer])
                let inputs = rows.inputs.map { sample in sample.map { Self.biased(layer) ? $0 + [1] : $0 } }
                let count = Double(inputs.map(\.count).reduce(0, +))
                guard count > 0 else { continue }
                let width = RoutedModel.width + (Self.biased(layer) ? 1 : 0)
                func reduced(_ samples: [[[Double]]], isMean: Bool) -> [[Double]] {
                    samples.filter { !$0.isEmpty }.map { rows in
                        rows[0].indices.map { column in
                            rows.reduce(0) { $0 + $1[column] } / (isMean ? Double(rows.count) : 1)
                        }
                    }
                }
                let isReduced = normalization == "reduce"
                let left = isReduced ? reduced(inputs, isMean: true) : inputs.flatMap { $0 }
                let right = rows.gradients.flatMap { probe in
                    isReduced ? reduced(probe, isMean: false) : probe.flatMap { $0 }
                }
                factors["\(layer).A"] =
                    1 / (isReduced ? samples : count) * DenseMatrix(gramOf: left, dimension: width)
                factors["\(layer).B"] =
                    1 / (probes * (normalization == "tak" ? count : samples))
                    * DenseMatrix(gramOf: right, dimension: RoutedModel.outer)
            }
            factors["norm.weight.F"] =
                1 / (samples * probes)
                * DenseMatrix(gramOf: try #require(model.normGradients[task]), dimension: RoutedModel.width)
            return factors
        }

        private func present(_ name: String, _ known: [String: Factors]) -> [String] {
            RoutedModel.tasks.filter { known[$0]?[name] != nil }
        }

        /// λ_t of some tasks.
        private func shares(_ tasks: [String]) -> [String: Double] {
            let total = Double(tasks.compactMap { model.samples[$0] }.reduce(0, +))
            return Dictionary(uniqueKeysWithValues: tasks.map { ($0, Double(model.samples[$0] ?? 0) / total) })
        }

        /// Equation 8 over the tasks that have the factor; nil if there are none.
        private func accumulated(_ name: String, _ known: [String: Factors], without left: String?) -> DenseMatrix? {
            let tasks = present(name, known).filter { $0 != left }
            let shares = shares(tasks)
            let terms = tasks.compactMap { task in
                known[task]?[name].map { (name.hasSuffix(".B") ? 1 : shares[task] ?? 0) * $0 }
            }
            return terms.isEmpty ? nil : terms.sum
        }

        /// The task vector of a layer, with the bias as the last column.
        private func vector(_ task: String, _ layer: String) throws -> DenseMatrix {
            func values(_ tensor: String) throws -> [Double] {
                zip(
                    try #require(model.checkpoints[task]).tensor(tensor).values, try model.base.tensor(tensor).values
                ).map { $0 - $1 }
            }
            let weight = DenseMatrix(RoutedModel.outer, RoutedModel.width, try values("\(layer).weight"))
            guard Self.biased(layer) else { return weight }
            let bias = try values("\(layer).bias")
            var whole = DenseMatrix(RoutedModel.outer, RoutedModel.width + 1)
            for row in 0..<whole.rows {
                for column in 0..<weight.columns { whole[row, column] = weight[row, column] }
                whole[row, weight.columns] = bias[row]
            }
            return whole
        }

        /// tr(B Δ A Δᵀ).
        private func penalty(_ b: DenseMatrix, _ a: DenseMatrix, _ vector: DenseMatrix) -> Double {
            (b * vector * a * vector.transposed).trace
        }

        // MARK: - Files

        private func expect(_ path: String, holds expected: Factors, within tolerance: Double = 1e-5) throws {
            let file = try TensorFile(reading: path)
            #expect(file.tensors.map(\.name) == expected.keys.sorted(), "\(path)")
            for (name, matrix) in expected {
                let distance = relativeDistance(try file.tensor(name).values, matrix.elements)
                #expect(distance < tolerance, "\(path): \(name)")
            }
        }

        // MARK: - Tests

        @Test(arguments: ["tak", "expand", "reduce"])
        func `ragged and missing rows give the factors, sums and merge of a computation by sample`(
            normalization: String
        ) async throws {
            var model = model
            model.job.curvature = [
                "normalization: \(normalization)", "missing_curvature: renormalize",
                "damping: {rule: relative, value: 0.1}",
            ]
            let output = try await model.run("out")
            var known: [String: Factors] = [:]
            for task in RoutedModel.tasks { known[task] = try factors(task, normalization) }
            let names = Set(known.values.flatMap(\.keys))
            for task in RoutedModel.tasks {
                try expect("\(output)/factors/\(task)/factors.safetensors", holds: try #require(known[task]))
                var sums: Factors = [:]
                for name in names { sums[name] = accumulated(name, known, without: task) }
                try expect("\(output)/regularizer/\(task)/regularizer.safetensors", holds: sums)
            }
            try expectCounts(output)
            try expectMerge(output, known)
            try expectInterference(try Report.read(in: output), known)
        }

        private func expectCounts(_ output: String) throws {
            let metadata = try TensorFile(reading: "\(output)/factors/two/factors.safetensors").metadata
            #expect(metadata["samples"] == "5")
            let text = try #require(metadata["rows"])
            let object = try JSONSerialization.jsonObject(with: Data(text.utf8))
            let rows = try #require(object as? [String: Int])
            var expected: [String: Int] = [:]
            for layer in RoutedModel.layers where layer != "experts.3" {
                expected[layer] = model.rows["two"]?[layer]?.inputs.map(\.count).reduce(0, +)
            }
            #expect(rows == expected)
            #expect(rows["experts.1"] == 0)
            let sums = try TensorFile(reading: "\(output)/regularizer/three/regularizer.safetensors").metadata
            #expect(sums["missing_curvature"] == #"{"experts.1":["two"],"experts.2":["one"]}"#)
        }

        /// The merge is the solution of (B̂ ⊗ Â) δ = Σ λ_t (B̂_t ⊗ Â_t) δ_t, with the damping of the means on both sides.
        private func expectMerge(_ output: String, _ known: [String: Factors]) throws {
            let merged = try TensorFile(reading: "\(output)/merged/model.safetensors")
            for layer in RoutedModel.layers {
                let tasks = present("\(layer).A", known)
                let vectors = try RoutedModel.tasks.map { try vector($0, layer) }
                var delta: [Double]
                if tasks.isEmpty {
                    let shares = shares(RoutedModel.tasks)
                    delta = zip(RoutedModel.tasks, vectors).map { (shares[$0] ?? 0) * $1 }.sum.elements
                } else {
                    let a = try #require(accumulated("\(layer).A", known, without: nil))
                    let b =
                        1 / Double(tasks.count) * (try #require(accumulated("\(layer).B", known, without: nil)))
                    let (gammaA, gammaB) = (0.1 * a.trace / Double(a.rows), 0.1 * b.trace / Double(b.rows))
                    let shares = shares(tasks)
                    let right = try tasks.map { task in
                        let own = try #require(known[task])
                        let (ownA, ownB) = (try #require(own["\(layer).A"]), try #require(own["\(layer).B"]))
                        return (shares[task] ?? 0)
                            * (ownB.adding(gammaB) * (try vector(task, layer)) * ownA.adding(gammaA))
                    }
                    delta = b.adding(gammaB).kronecker(a.adding(gammaA)).solving(right.sum.elements)
                }
                let columns = vectors[0].columns
                let found = try merged.tensor("\(layer).weight").values
                let base = try model.base.tensor("\(layer).weight").values
                let expected = (0..<RoutedModel.outer).flatMap { row in
                    (0..<RoutedModel.width).map {
                        base[row * RoutedModel.width + $0] + delta[row * columns + $0]
                    }
                }
                #expect(relativeDistance(found, expected) < 1e-5, "\(layer)")
            }
        }

        private func expectInterference(_ report: [String: Any], _ known: [String: Factors]) throws {
            let interference = try #require(report["interference"] as? [String: Any])
            let layers = try #require(interference["layers"] as? [String: [[Any]]])
            #expect(layers.keys.sorted() == ["enc", "experts.0", "experts.1", "experts.2", "norm.weight"])
            for layer in RoutedModel.layers where layers[layer] != nil {
                for (i, row) in try #require(layers[layer]).enumerated() {
                    for (j, task) in RoutedModel.tasks.enumerated() {
                        guard let a = known[task]?["\(layer).A"], let b = known[task]?["\(layer).B"] else {
                            #expect(row[j] is NSNull, "\(layer) \(task)")
                            continue
                        }
                        let expected = penalty(b, a, try vector(RoutedModel.tasks[i], layer))
                        let found = try #require(row[j] as? Double)
                        #expect(abs(found - expected) < 1e-4 * expected, "\(layer) \(task)")
                    }
                }
            }
            let rows = try #require(report["layers"] as? [[String: Any]])
            let missing = rows.compactMap { row in
                (row["missing_curvature"] as? [String]).map { "\(row["name"] ?? ""): \($0)" }
            }
            #expect(missing == ["experts.1: [\"two\"]", "experts.2: [\"one\", \"three\"]"])
            #expect(report["layers_without_rows"] as? [String] == ["experts.3"])
        }

        @Test func `the per-task form spreads a missing task's share in the layer's penalty`() async throws {
            var model = model
            model.job.curvature = ["missing_curvature: renormalize", "regularizer: {form: per_task}"]
            model.job.outputs = ["regularizer", "report"]
            let found = try Report.read(in: try await model.run("out"))
            let penalties = try #require(found["penalties"] as? [String: [String: Double]])
            var known: [String: Factors] = [:]
            for task in RoutedModel.tasks { known[task] = try factors(task, "tak") }
            for task in RoutedModel.tasks {
                for layer in RoutedModel.layers {
                    let others = present("\(layer).A", known).filter { $0 != task }
                    let shares = shares(others)
                    let terms = try others.map { other in
                        let (a, b) = (known[other]?["\(layer).A"], known[other]?["\(layer).B"])
                        return (shares[other] ?? 0)
                            * penalty(try #require(b), try #require(a), try vector(task, layer))
                    }
                    guard !terms.isEmpty else {
                        #expect(penalties[task]?[layer] == nil, "\(task) \(layer)")
                        continue
                    }
                    let expected = terms.reduce(0, +)
                    let found = try #require(penalties[task]?[layer])
                    #expect(abs(found - expected) < 1e-4 * expected, "\(task) \(layer)")
                }
            }
        }

        @Test func `every form of regularizer is written without the layers that no other task reached`() async throws {
            var model = model
            model.job.outputs = ["regularizer"]
            for (index, form) in ["accumulated", "optimal, rank: 2", "per_task"].enumerated() {
                model.job.curvature = ["missing_curvature: renormalize", "regularizer: {form: \(form)}"]
                let output = try await model.run("out\(index)")
                for (task, holds) in ["one": true, "two": false, "three": true] {
                    let file = try TensorFile(reading: "\(output)/regularizer/\(task)/regularizer.safetensors")
                    let found = file.tensors.contains { $0.name.hasSuffix("experts.2.A") }
                    #expect(found == holds, "\(form) \(task)")
                }
            }
        }

        @Test func `the console names the layers that no task or not every task reached`() async throws {
            var model = model
            model.job.curvature = ["missing_curvature: renormalize"]
            model.job.outputs = ["factors", "report"]
            try model.job.write(to: model.directory.appending("job.yaml"))
            let result = try await Client.runJob(model.directory.appending("job.yaml"), in: model.directory)
            #expect(
                result.errors.contains("job.yaml: no task has rows of these layers and parameters: \"experts.3\"."),
                "\(result.errors)")
            for line in [
                "note: no task has rows of these layers and parameters, so they have no factors: experts.3\n",
                "note: some tasks have no rows of these layers and parameters; the others take their shares: experts.1, "
                    + "experts.2\n",
            ] {
                #expect(result.output.contains(line), "\(result.output)")
            }
        }

        @Test func `factor files state what has no rows, and take the place of the captures`() async throws {
            var model = model
            model.job.curvature = ["normalization: reduce", "missing_curvature: renormalize"]
            let captured = try await model.run("captured")
            for (index, task) in RoutedModel.tasks.enumerated() {
                model.job.tasks[index].captures = []
                model.job.tasks[index].factors = "captured/factors/\(task)"
            }
            let imported = try await model.run("imported")
            let (found, expected) = (try OutputTree(imported), try OutputTree(captured))
            #expect(found.differences(from: expected) == ["report.html", "report.json"])
        }

        @Test func `without the option the job is refused, and the layers are named`() async throws {
            try model.job.write(to: model.directory.appending("job.yaml"))
            let result = try await Client.run(
                ["plan", model.directory.appending("job.yaml")], in: model.directory)
            #expect(result.exitCode == 2)
            for sentence in [
                "task \"one\" has no rows of 1 of the 5 layers and parameters (\"experts.2\"), so no curvature there.",
                "task \"two\" has no rows of 1 of the 5 layers and parameters (\"experts.1\"), so no curvature there.",
                "Write \"missing_curvature: renormalize\" under \"kfac\"",
            ] {
                #expect(result.errors.contains(sentence), "\(result.errors)")
            }
        }
    }
}
