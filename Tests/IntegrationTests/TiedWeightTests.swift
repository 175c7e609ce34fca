import Foundation
import TestSupport
import Testing

extension SerialIntegrationTests {
    /// An embedding and the head that is tied to it, against a computation sample by sample in float64.
    @Suite(.timeLimit(.minutes(10))) struct TiedWeightTests {
        private let model: TiedModel

        init() throws { model = try TiedModel() }

        private func expect(_ file: TensorFile, _ name: String, _ shape: [Int], _ values: [Double]) throws {
            let tensor = try file.tensor(name)
            #expect(tensor.shape == shape, "\(name)")
            #expect(relativeDistance(tensor.values, values) < 1e-5, "\(name)")
        }

        private func report(_ output: String) throws -> [String: Any] {
            let data = try Data(contentsOf: URL(fileURLWithPath: "\(output)/report.json"))
            return try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
        }

        private var summed: [(input: DenseMatrix, gradient: DenseMatrix, error: Double)] {
            get throws { try TiedModel.tasks.map { try model.summed($0) } }
        }

        // MARK: - Factors

        @Test(arguments: ["tak", "expand", "reduce"])
        func `both uses of a tied weight are summed to the nearest product with vectors for diagonals`(
            normalization: String
        ) async throws {
            var model = model
            model.job.curvature.append("normalization: \(normalization)")
            model.job.outputs = ["factors", "report"]
            let output = try await model.run("out")
            for task in TiedModel.tasks {
                let file = try TensorFile(reading: "\(output)/factors/\(task)/factors.safetensors")
                #expect(file.tensors.map(\.name) == ["fc.A", "fc.B", "wte.A", "wte.B"])
                let expected = try model.summed(task, normalization)
                try expect(file, "wte.A", [7], expected.input.diagonal)
                try expect(file, "wte.B", [3, 3], expected.gradient.elements)
                try expect(file, "fc.A", [3, 3], try model.factors(of: "fc", task, normalization).input.elements)
                #expect(file.metadata["diagonal"] == #"["wte.A"]"#)
                #expect(file.metadata["uses"] == #"{"wte":["lm_head","wte"]}"#)
                #expect(file.metadata["layout"] == #"{"wte":"in_out"}"#)
                let layers = try #require(try report(output)["layers"] as? [[String: Any]])
                let errors = try #require(layers.last?["uses_error"] as? [String: Double])
                #expect(abs(try #require(errors[task]) - expected.error) < 1e-5)
            }
        }

        /// The exact Gauss-Newton matrix of E in f(x) = E φ(W E[x]) has both uses in each sample.
        ///
        /// The kept product leaves out what they share in a sample, and is compared with all of it.
        @Test func `the kept product is compared with the exact Gauss-Newton matrix`() throws {
            let (vocabulary, width) = (TiedModel.vocabulary, TiedModel.width)
            let embedding = DenseMatrix(vocabulary, width, try model.base.tensor("wte.weight").values)
            let inner = DenseMatrix(width, width, try model.base.tensor("fc.weight").values)
            let ids = try #require(model.rows["alpha"]).ids
            var exact = DenseMatrix(vocabulary * width, vocabulary * width)
            var (counts, hidden) = (DenseMatrix(vocabulary, vocabulary), DenseMatrix(width, width))
            var (backward, outputs) = (DenseMatrix(width, width), DenseMatrix(vocabulary, vocabulary))
            let share = 1 / Double(ids.count)
            for id in ids {
                let before = inner * DenseMatrix(width, 1, (0..<width).map { embedding[id, $0] })
                let h = before.elements.map(tanh)
                counts[id, id] += share
                hidden = hidden + share * DenseMatrix(gramOf: [h], dimension: width)
                for output in 0..<vocabulary {
                    // ∂ f_output / ∂ E[id] through the layer, and ∂ f_output / ∂ E[output] as a head.
                    let slope = DenseMatrix(
                        1, width, (0..<width).map { embedding[output, $0] * (1 - h[$0] * h[$0]) })
                    let g = (slope * inner).elements
                    var gradient = [Double](repeating: 0, count: vocabulary * width)
                    for column in 0..<width {
                        gradient[id * width + column] += g[column]
                        gradient[output * width + column] += h[column]
                    }
                    exact = exact + share * DenseMatrix(gramOf: [gradient], dimension: vocabulary * width)
                    backward = backward + share * DenseMatrix(gramOf: [g], dimension: width)
                    outputs[output, output] += share
                }
            }
            func distance(_ approximation: DenseMatrix) -> Double {
                let missed = (exact + -1 * approximation).elements.reduce(0) { $0 + $1 * $1 }
                return (missed / exact.elements.reduce(0) { $0 + $1 * $1 }).squareRoot()
            }
            let both = [counts.kronecker(backward), outputs.kronecker(hidden)].sum
            let nearest = TiedModel.nearestProduct(
                [(input: counts, gradient: backward), (input: outputs, gradient: hidden)])
            let kept = nearest.input.kronecker(nearest.gradient)
            let (ofKept, ofBoth) = (distance(kept), distance(both))
            let plain = (counts + outputs).kronecker(backward + hidden)
            print(
                "distance from exact Gauss-Newton: kept \(ofKept), both terms \(ofBoth), plain sums \(distance(plain))")
            #expect(ofBoth < 1 && ofKept < 1)
            #expect(ofKept < distance(plain))
        }

        // MARK: - Sums, inverses, interference and merges

        @Test func `sums, inverses, interference and the merge are those of dense matrices`() async throws {
            let output = try await model.run("out")
            let summed = try summed
            let share = 1 / Double(TiedModel.tasks.count)
            let a = summed.map { share * $0.input }.sum
            let b = summed.map(\.gradient).sum
            let sums = try TensorFile(reading: "\(output)/regularizer/all/regularizer.safetensors")
            try expect(sums, "wte.A", [7], a.diagonal)
            try expect(sums, "wte.B", [3, 3], b.elements)
            #expect(sums.metadata["diagonal"] == #"["wte.A"]"#)

            let gamma = 0.1 * a.trace / 7
            let inverses = try TensorFile(reading: "\(output)/inverses/all/inverses.safetensors")
            try expect(inverses, "wte.A_inv", [7], a.diagonal.map { 1 / ($0 + gamma) })
            #expect(inverses.metadata["diagonal"] == #"["wte.A"]"#)

            let vectors = try TiedModel.tasks.map { try model.vector($0, "wte") }
            let squares = try TiedModel.tasks.map { try model.vector($0, "fc") }
            let layers = try TiedModel.tasks.map { try model.factors(of: "fc", $0) }
            let found = try #require(try report(output)["interference"] as? [String: Any])
            let matrix = try #require(found["matrix"] as? [[Double]])
            for (row, values) in matrix.enumerated() {
                for (task, value) in values.enumerated() {
                    let tied = summed[task].gradient * vectors[row] * summed[task].input * vectors[row].transposed
                    let square = layers[task].gradient * squares[row] * layers[task].input * squares[row].transposed
                    #expect(abs(value - tied.trace - square.trace) < 1e-5 * value)
                }
            }

            let (damped, sides) = (
                a.adding(gamma), (share * b).adding(0.1 * share * b.trace / 3)
            )
            let right = zip(summed, vectors).map { factors, vector in
                (share * factors.gradient.adding(0.1 * share * b.trace / 3).kronecker(factors.input.adding(gamma)))
                    * DenseMatrix(21, 1, vector.elements)
            }.sum
            let delta = DenseMatrix(3, 7, sides.kronecker(damped).solving(right.elements)).transposed
            let merged = try TensorFile(reading: "\(output)/merged/model.safetensors").tensor("wte.weight").values
            let origin = try model.base.tensor("wte.weight").values
            #expect(relativeDistance(merged, zip(origin, delta.elements).map { $0 + $1 }) < 1e-5)
        }

        @Test(arguments: ["pi", "absolute"])
        func `every damping rule inverts a diagonal element by element`(rule: String) async throws {
            var model = model
            model.job.curvature.append("damping: {rule: \(rule), value: 0.04}")
            model.job.outputs = ["inverses", "report"]
            let output = try await model.run("out")
            let a = try summed.map { 0.5 * $0.input }.sum
            let gamma = rule == "pi" ? 0.2 * a.trace / 7 : 0.04
            let inverses = try TensorFile(reading: "\(output)/inverses/all/inverses.safetensors")
            try expect(inverses, "wte.A_inv", [7], a.diagonal.map { 1 / ($0 + gamma) })
        }

        @Test(arguments: ["{form: optimal, rank: 1}", "{form: per_task}", "{targets: leave_one_out}"])
        func `every form of a regularizer holds the diagonals as vectors`(form: String) async throws {
            var model = model
            model.job.curvature = ["regularizer: \(form)"]
            model.job.outputs = ["regularizer", "report"]
            let output = try await model.run("out")
            for directory in try FileManager.default.contentsOfDirectory(atPath: "\(output)/regularizer") {
                let file = try TensorFile(reading: "\(output)/regularizer/\(directory)/regularizer.safetensors")
                for tensor in file.tensors where tensor.name.hasSuffix("wte.A") { #expect(tensor.shape == [7]) }
                #expect(file.tensors.contains { $0.name.hasSuffix("wte.A") })
            }
        }

        @Test func `the bytes do not depend on the number of workers, and finished factors give the same merge`()
            async throws
        {
            var model = model
            model.job.outputs = ["factors", "merged", "report"]
            let one = try await model.run("one", workers: 1)
            let three = try await model.run("three", workers: 3)
            for path in ["factors/alpha/factors.safetensors", "merged/model.safetensors"] {
                let bytes = try [one, three].map { try Data(contentsOf: URL(fileURLWithPath: "\($0)/\(path)")) }
                #expect(bytes[0] == bytes[1], "\(path)")
            }
            model.job.tasks[0].captures = []
            model.job.tasks[0].factors = "one/factors/alpha"
            model.job.outputs = ["merged", "report"]
            let again = try await model.run("again")
            let merged = try [one, again].map {
                try TensorFile(reading: "\($0)/merged/model.safetensors").tensor("wte.weight").bytes
            }
            #expect(merged[0] == merged[1])
        }

        @Test func `partial sums hold diagonals as vectors and give the same factors`() async throws {
            var model = model
            let rows = Double(TiedModel.rows)
            var tensors: [Tensor] = []
            for layer in ["fc", "lm_head", "wte"] {
                let factors = try model.factors(of: layer, "alpha")
                for (side, matrix, scale) in [
                    ("A", factors.input, rows), ("B", factors.gradient, rows * Double(TiedModel.probes)),
                ] {
                    let isDiagonal = "\(layer).\(side)" == "wte.A" || "\(layer).\(side)" == "lm_head.B"
                    let sum = scale * matrix
                    let elements =
                        isDiagonal
                        ? sum.diagonal : (0..<sum.rows).flatMap { row in (0...row).map { sum[row, $0] } }
                    tensors.append(
                        Tensor(
                            "\(layer).\(side)", .float64, [elements.count],
                            bytes: elements.withUnsafeBytes { Data($0) }))
                }
            }
            var metadata = [
                "format": "kfacd.partials/1", "task": "alpha", "run": "monday", "rank": "0", "sequence": "0",
                "rows": "\(TiedModel.rows)", "samples": "\(TiedModel.samples)", "probes": "\(TiedModel.probes)",
                "normalization": "tak", "bias": #"{"fc":false,"lm_head":false,"wte":false}"#,
                "layout": #"{"wte":"in_out"}"#, "diagonal": #"["lm_head.B","wte.A"]"#,
            ]
            try TensorFile(tensors, metadata: metadata).write(to: model.directory.appending("alpha-sums.safetensors"))
            model.job.tasks[0].captures = []
            model.job.tasks[0].factors = "alpha-sums.safetensors"
            model.job.outputs = ["factors", "report"]
            let output = try await model.run("out")
            let file = try TensorFile(reading: "\(output)/factors/alpha/factors.safetensors")
            let expected = try model.summed("alpha")
            try expect(file, "wte.A", [7], expected.input.diagonal)
            try expect(file, "wte.B", [3, 3], expected.gradient.elements)

            // A sum of squares is never negative.
            let place = try #require(tensors.firstIndex { $0.name == "wte.A" })
            let negative: [Double] = [1, 2, -3, 4, 5, 6, 7]
            tensors[place] = Tensor("wte.A", .float64, [7], bytes: negative.withUnsafeBytes { Data($0) })
            try TensorFile(tensors, metadata: metadata).write(to: model.directory.appending("alpha-sums.safetensors"))
            try await expectFailure(model, "the diagonal element of row 2 is -3.0")
            // A vector that nothing names as a diagonal is no triangle.
            metadata["diagonal"] = nil
            try TensorFile(tensors, metadata: metadata).write(to: model.directory.appending("alpha-sums.safetensors"))
            try await expectFailure(
                model,
                "tensor \"wte.A\" has the shape [7]; expected a packed triangle [n(n + 1)/2]; a diagonal [n] is "
                    + "stated by \"diagonal\".")
        }

        // MARK: - A base that stores both names

        /// Gives a checkpoint its own copy of the head, changed by a number.
        private func storing(_ file: TensorFile, headOff offset: Float = 0) throws -> TensorFile {
            let embedding = try file.tensor("wte.weight")
            let head = Tensor("lm_head.weight", embedding.shape, embedding.values.map { Float($0) + offset })
            return TensorFile(file.tensors + [head])
        }

        /// Moves a checkpoint into a directory of its own beside a configuration.
        private func write(_ file: TensorFile, as name: String, _ configuration: String) throws {
            try file.write(to: model.directory.appending("\(name)/model.safetensors"))
            try Data(configuration.utf8).write(
                to: URL(fileURLWithPath: model.directory.appending("\(name)/config.json")))
        }

        @Test(arguments: [#"{"tie_word_embeddings": true}"#, #"{"model_type": "gpt2"}"#])
        func `a tied weight that is stored under both names is one block, and both are written`(
            configuration: String
        ) async throws {
            var model = model
            model.job.outputs = ["factors", "merged", "report"]
            let once = try await model.run("once")
            try write(try storing(model.base), as: "both", configuration)
            model.job.base = "both"
            // One model stores both names, the other one.
            try write(try storing(try #require(model.checkpoints["alpha"])), as: "alpha", configuration)
            try write(try #require(model.checkpoints["beta"]), as: "beta", configuration)
            for (place, task) in TiedModel.tasks.enumerated() { model.job.tasks[place].model = task }
            let twice = try await model.run("twice")
            for task in TiedModel.tasks {
                let path = "factors/\(task)/factors.safetensors"
                let files = try [once, twice].map { try TensorFile(reading: "\($0)/\(path)") }
                #expect(files[0].tensors.map(\.name) == files[1].tensors.map(\.name))
                #expect(files[0].tensors.map(\.bytes) == files[1].tensors.map(\.bytes))
                #expect(files[1].metadata["uses"] == #"{"wte":["lm_head","wte"]}"#)
            }
            let expected = try TensorFile(reading: "\(once)/merged/model.safetensors").tensor("wte.weight").bytes
            let merged = try TensorFile(reading: "\(twice)/merged/model.safetensors")
            #expect(try merged.tensor("wte.weight").bytes == expected)
            #expect(try merged.tensor("lm_head.weight").bytes == expected)
            let merge = try #require(try report(twice)["merge"] as? [String: Any])
            let withFactors = try #require(merge["merged_with_factors"] as? [String])
            #expect(withFactors == ["fc.weight", "lm_head.weight", "wte.weight"])
            let inspected = try await Client.run(
                ["inspect", "\(twice)/factors/alpha/factors.safetensors"], in: model.directory)
            #expect(inspected.output.contains("SUM OVER USES") && inspected.output.contains("lm_head, wte"))
            #expect(inspected.output.contains("[7]     diagonal"), "\(inspected.output)")
        }

        @Test func `names that a configuration ties and that hold two weights stay apart with a notice`() async throws {
            var model = model
            model.job.outputs = ["factors", "merged", "report"]
            let configuration = #"{"tie_word_embeddings": true}"#
            try write(try storing(model.base, headOff: 0.5), as: "both", configuration)
            model.job.base = "both"
            for (place, task) in TiedModel.tasks.enumerated() {
                try write(
                    try storing(try #require(model.checkpoints[task]), headOff: 0.25), as: task, configuration)
                model.job.tasks[place].model = task
            }
            let apart = try await model.run("apart")
            let file = try TensorFile(reading: "\(apart)/factors/alpha/factors.safetensors")
            #expect(file.tensors.map(\.name) == ["fc.A", "fc.B", "lm_head.A", "lm_head.B", "wte.A", "wte.B"])
            let notices = try #require(try report(apart)["notices"] as? [String])
            #expect(
                notices.contains {
                    $0.hasSuffix(
                        "config.json ties \"lm_head.weight\" to \"wte.weight\", but the files hold two different "
                            + "tensors. They are merged apart, each with its own factors, as transformers 5 loads them; "
                            + "transformers 4 may load the embedding for both. If the model is tied, save it again; "
                            + "otherwise write \"tie_word_embeddings\": false.")
                }, "\(notices)")

            // The base is tied, and one model is not.
            try write(try storing(model.base), as: "both", configuration)
            let mixed = try await model.run("mixed")
            let told = try #require(try report(mixed)["notices"] as? [String])
            #expect(
                told.contains {
                    $0.contains(
                        "the base holds one weight as \"lm_head.weight\" and as \"wte.weight\", but the model of task "
                            + "\"alpha\" two different ones. They are merged apart")
                }, "\(told)")
            // A configuration that denies the tie says that both are weights of their own.
            for name in ["both"] + TiedModel.tasks {
                try Data(#"{"tie_word_embeddings": false}"#.utf8).write(
                    to: URL(fileURLWithPath: model.directory.appending("\(name)/config.json")))
            }
            let untied = try await model.run("untied")
            #expect(try report(untied)["notices"] as? [String] == [])
        }

        @Test(arguments: [
            ("dare_ties", "density: 0.5"), ("della_linear", "density: 0.5"), ("task_arithmetic", "weight: [0.25, 1]"),
            ("task_arithmetic", "weight: [{filter: lm_head, value: 0.5}, {value: 0.25}]"),
            ("iso_c", "as_matrix: [{filter: lm_head, value: false}, {value: true}]"), ("tsv_m", "lambda: [0.5, 1]"),
        ])
        func `a tied weight that is stored under both names stays one weight without factors`(
            method: String, parameters: String
        ) async throws {
            var model = model
            let configuration = #"{"tie_word_embeddings": true}"#
            model.job.outputs = ["merged", "report"]
            model.job.method = method
            model.job.curvature = []
            model.job.others = ["parameters: {\(parameters)}"]
            try write(try storing(model.base), as: "both", configuration)
            model.job.base = "both"
            for (place, task) in TiedModel.tasks.enumerated() {
                try write(try storing(try #require(model.checkpoints[task])), as: task, configuration)
                model.job.tasks[place].model = task
                model.job.tasks[place].captures = []
            }
            let merged = try TensorFile(reading: "\(try await model.run("out"))/merged/model.safetensors")
            let embedding = try merged.tensor("wte.weight").bytes
            #expect(try merged.tensor("lm_head.weight").bytes == embedding)
            #expect(try model.base.tensor("wte.weight").bytes != embedding)
        }

        // MARK: - Bad input

        private func expectFailure(
            _ model: TiedModel, _ part: String, sourceLocation: SourceLocation = #_sourceLocation
        ) async throws {
            var job = model.job
            job.output = "refused"
            try job.write(to: model.directory.appending("job.yaml"))
            let result = try await Client.run(
                ["run", model.directory.appending("job.yaml"), "--workers", "1"], in: model.directory)
            #expect(result.exitCode != 0, sourceLocation: sourceLocation)
            #expect(result.errors.contains(part), "\(result.errors)", sourceLocation: sourceLocation)
        }

        @Test(arguments: [-1, 7])
        func `an id that the embedding does not have is named with its row`(id: Int32) async throws {
            var file = try model.captures(of: "alpha")
            var ids = try #require(model.rows["alpha"]).ids.map { Int32($0) }
            ids[5] = id
            file.tensors[0] = Tensor(
                "wte.input", .int32, [ids.count], bytes: ids.withUnsafeBytes { Data($0) })
            try file.write(to: model.directory.appending("alpha-captures.safetensors"))
            try await expectFailure(
                model, "tensor \"wte.input\" holds the index \(id) in row 5; expected 0 to 6, one of the 7 rows")
        }

        @Test func `ids without as many gradients are refused`() async throws {
            var file = try model.captures(of: "alpha")
            file.tensors[0] = file.tensors[0].rows(0..<22)
            try file.write(to: model.directory.appending("alpha-captures.safetensors"))
            try await expectFailure(model, "wte")
        }
    }
}
