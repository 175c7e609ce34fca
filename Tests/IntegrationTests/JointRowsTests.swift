import Foundation
import LinearAlgebra
import TestSupport
import Testing

extension SerialIntegrationTests {
    /// The form `pseudo_rows` of a whole job, against the joint form in fp64 from the same captures.
    @Suite(.timeLimit(.minutes(10))) struct JointRowsTests {
        private let model: SmallModel

        init() throws {
            model = try SmallModel()
            model.job.outputs = ["regularizer", "report"]
        }

        private func setForm(_ settings: String) {
            model.job.curvature = ["normalization: expand", "regularizer: {form: pseudo_rows, \(settings)}"]
        }

        private func regularizer(_ output: String, _ target: String) throws -> TensorFile {
            try TensorFile(reading: "\(output)/regularizer/\(target)/regularizer.safetensors")
        }

        private func object(_ text: String?) throws -> [String: Double] {
            try #require(try JSONSerialization.jsonObject(with: Data((text ?? "").utf8)) as? [String: Double])
        }

        private func report(_ output: String) throws -> [String: Any] {
            let text = try Data(contentsOf: URL(fileURLWithPath: "\(output)/report.json"))
            return try #require(try JSONSerialization.jsonObject(with: text) as? [String: Any])
        }

        private func reference(_ task: String) throws -> JointReference {
            try JointReference(try #require(model.captures[task]))
        }

        /// Changes of all layers and of the parameter.
        private func change(seed: UInt64) -> [String: [Double]] {
            var random = SplitMix64(seed: seed)
            var change = Dictionary(
                uniqueKeysWithValues: JointReference.layers.map { ($0.name, random.values($0.inputs * $0.outputs)) })
            change[JointReference.parameter.name] = random.values(JointReference.parameter.count)
            return change
        }

        private func expectPenalties(_ found: JointReference, _ expected: JointReference) {
            for seed: UInt64 in 1...5 {
                let change = change(seed: seed)
                expectClose(found.penalty(change), expected.penalty(change), relative: 1e-5)
            }
        }

        @Test func `with all rows the penalty is a sum over all pairs of inputs and gradients`() async throws {
            setForm("ranks: {inputs: 100, gradients: 100}, targets: all, floor: none")
            try model.write()
            let output = try await model.run()
            let file = try regularizer(output, "all")
            let rows = JointReference(joining: try SmallModel.taskNames.map(reference))
            expectPenalties(try JointReference(file: file), rows)
            #expect(file.metadata["form"] == "pseudo_rows" && file.metadata["floor"] == "none")
            #expect(file.metadata["normalization"] == "expand" && file.metadata["one_dimensional"] == "sum")
            #expect(try object(file.metadata["ranks"]) == ["inputs": 36, "gradients": 72])
            for kept in try object(file.metadata["kept"]).values { expectClose(kept, 1, absolute: 1e-6) }
            #expect(file.tensors.allSatisfy { !$0.name.hasSuffix(".A") && !$0.name.hasSuffix(".F") })
            let report = try report(output)
            let section = try #require(report["pseudo_rows"] as? [String: Any])
            #expect((section["storage"] as? [String: Double])?["factors"] == 0)
            // The form has no equation 8.
            let layers = try #require(report["layers"] as? [[String: Any]])
            #expect(!layers.isEmpty && layers.allSatisfy { $0["accumulation_error"] == nil })
        }

        @Test func `a target has the leading rows of its tasks, and nothing of the one that it leaves out`()
            async throws
        {
            setForm("ranks: {inputs: 5, gradients: 7}")
            try model.write()
            let output = try await model.run()
            let section = try #require(try report(output)["pseudo_rows"] as? [String: Any])
            for target in SmallModel.taskNames {
                let file = try regularizer(output, target)
                let own = try SmallModel.taskNames.filter { $0 != target }.map {
                    try reference($0).compressed(inputRank: 5, gradientRank: 7).rows
                }
                let joined = JointReference(joining: own)
                let (rows, kept) = try joined.compressed(inputRank: 5, gradientRank: 7)
                expectPenalties(try JointReference(file: file), rows)
                let stated = try object(file.metadata["kept"])
                expectClose([stated["inputs"] ?? 0, stated["gradients"] ?? 0], kept, absolute: 1e-6)
                // fc's first column is of position 0; k begins behind fc's three positions.
                let squares = try file.tensor("fc.input_squares").values + file.tensor("fc.gradient_squares").values
                let expected =
                    [0, 5, 10].map { joined.inputs.squares[$0] }
                    + [0, 7, 14].map { joined.gradients.squares[$0] }
                expectClose(squares, expected, relative: 1e-6)
                expectClose(
                    try file.tensor("norm.weight.gradient_squares").values,
                    [try #require(joined.gradients.squares.last)], relative: 1e-6)
                #expect(try file.tensor("input_squares").values == [1])
                let rowOfReport = try #require(
                    (section["targets"] as? [[String: Any]])?.first { $0["name"] as? String == target })
                let inputs = try #require(rowOfReport["inputs"] as? [String: Double])
                #expect(inputs["kept"] == stated["inputs"] && inputs["rank"] == 5 && inputs["rows"] == 10)
            }
            #expect((section["tasks"] as? [Any])?.count == 3 && section["floor"] as? String == "complement")
        }

        /// B ⊗ A ≽ B_in ⊗ A_in if A ≽ A_in and B ≽ B_in, and the same for F.
        @Test func `the complement of the factors is positive semi-definite`() async throws {
            setForm("ranks: {inputs: 4, gradients: 6}, targets: all")
            try model.write()
            let file = try regularizer(try await model.run(), "all")
            let rows = try JointReference(file: file)
            func expectSemidefinite(_ whole: [Double], _ inside: [Double]) throws {
                let order = Int(Double(whole.count).squareRoot())
                let difference = zip(whole, inside).map { $0 - $1 }
                let values = try SymmetricEigen(
                    decomposing: try Matrix<Double>(rows: order, columns: order, elements: difference)
                ).values
                #expect(values[0] > -1e-5 * (values.last ?? 0), "\(values)")
            }
            for layer in JointReference.layers {
                try expectSemidefinite(
                    try file.tensor("\(layer.name).A").values, rows.inside(layer, isInput: true))
                try expectSemidefinite(
                    try file.tensor("\(layer.name).B").values, rows.inside(layer, isInput: false))
            }
            try expectSemidefinite(try file.tensor("norm.weight.F").values, rows.insideOfParameter)
        }

        /// An owner shares its factor file, and keeps its rows.
        @Test func `finished factors with joint rows give the regularizer of the rows`() async throws {
            setForm("ranks: {inputs: 5, gradients: 7}")
            model.job.outputs = ["factors", "regularizer"]
            model.job.output = "rows"
            try model.write()
            let captured = try await model.run()
            let shared = try TensorFile(reading: "\(captured)/factors/beta/factors.safetensors")
            expectPenalties(
                try JointReference(file: shared), try reference("beta").compressed(inputRank: 5, gradientRank: 7).rows)
            #expect(shared.metadata["joint_rows"]?.contains("\"ranks\":{\"inputs\":5,\"gradients\":7}") == true)
            for index in [0, 1] {
                let name = SmallModel.taskNames[index]
                model.job.tasks[index].factors = "rows/factors/\(name)"
                model.job.tasks[index].captures = []
                model.job.tasks[index].name = name
            }
            model.job.output = "finished"
            model.job.outputs.append("report")
            try model.write()
            let finished = try await model.run()
            let section = try #require(try report(finished)["pseudo_rows"] as? [String: Any])
            let rowsOfTasks = try #require(section["tasks"] as? [[String: Any]])
            #expect(rowsOfTasks.compactMap { $0["name"] as? String } == SmallModel.taskNames)
            let stated = try #require(rowsOfTasks[0]["gradients"] as? [String: Double])
            #expect(stated["rank"] == 7 && (0...1).contains(stated["kept"] ?? -1) && stated["rows"] == nil)
            for target in SmallModel.taskNames {
                expectPenalties(
                    try JointReference(file: try regularizer(finished, target)),
                    try JointReference(file: try regularizer(captured, target)))
            }
            let again = try TensorFile(reading: "\(finished)/factors/beta/factors.safetensors")
            for tensor in shared.tensors { #expect(try again.tensor(tensor.name).bytes == tensor.bytes) }
            #expect(again.metadata["joint_rows"] == shared.metadata["joint_rows"])
            // Other forms leave the rows aside.
            model.job.curvature = ["normalization: expand", "regularizer: {one_dimensional: sum}"]
            model.job.outputs = ["regularizer"]
            let plain = try await model.run(to: "plain")
            let sums = try regularizer(plain, "gamma")
            #expect(try sums.tensor("q.B").bytes == regularizer(captured, "gamma").tensor("q.B").bytes)
        }

        /// Runs a job with alpha's factor file in place of its captures, after a change of the file.
        private func runFinished(_ change: (inout TensorFile) throws -> Void) async throws -> (CommandResult, String) {
            setForm("ranks: {inputs: 5, gradients: 7}")
            model.job.outputs = ["factors"]
            model.job.output = "rows"
            try model.write()
            let path = try await model.run() + "/factors/alpha/factors.safetensors"
            var file = try TensorFile(reading: path)
            try change(&file)
            try file.write(to: path)
            model.job.tasks[0].name = "alpha"
            model.job.tasks[0].factors = "rows/factors/alpha"
            model.job.tasks[0].captures = []
            model.job.outputs = ["regularizer"]
            model.job.output = "finished"
            try model.write()
            let run = ["run", model.jobPath, "--state-directory", model.directory.path]
            return (try await Client.run(run, in: model.directory), path)
        }

        @Test func `a factor whose trace is not that of its joint rows fails the job by name`() async throws {
            let (result, path) = try await runFinished { file in
                let index = try #require(file.tensors.firstIndex { $0.name == "fc.B" })
                let factor = file.tensors[index]
                file.tensors[index] = Tensor("fc.B", factor.shape, factor.values.map { Float(0.5 * $0) })
            }
            #expect(result.exitCode != 0)
            #expect(
                result.errors.contains("\(path): the elements of \"fc.gradient_squares\" sum to"), "\(result.errors)")
            #expect(result.errors.contains("the trace of the gradients' factor of \"fc\""), "\(result.errors)")
        }

        @Test func `joint rows of another file's layer are refused before the job begins`() async throws {
            let (result, path) = try await runFinished { file in
                let rows = try file.tensor("fc.gradient_rows")
                file.tensors.append(Tensor("other.gradient_rows", rows.shape, rows.values.map { Float($0) }))
            }
            #expect(result.exitCode != 0)
            let directory = path.dropLast("/factors.safetensors".count)
            #expect(result.errors.contains("\(directory)"), "\(result.errors)")
            #expect(
                result.errors.contains(
                    "tensor \"other.gradient_rows\" belongs to \"other\", of which the files hold no factors"),
                "\(result.errors)")
        }

        @Test func `any number of workers writes the same bytes`() async throws {
            setForm("ranks: {inputs: 5, gradients: 7}")
            var outputs: [String] = []
            for workers in 1...3 {
                model.job.output = "out-\(workers)"
                try model.write()
                outputs.append(try await model.run(workers: workers))
            }
            for other in outputs.dropFirst() { try requireSameBytes(other, outputs[0]) }
        }

        @Test func `a worker that is killed in the middle changes no byte`() async throws {
            setForm("ranks: {inputs: 5, gradients: 7}")
            model.job.output = "whole"
            try model.write()
            let whole = try await model.run()
            let output = model.directory.appending("killed")
            model.job.output = output
            try model.write()
            try await Cluster.with(workerTimeout: Cluster.shortTimeout, startingOver: output) { cluster in
                let doomed = try cluster.startWorker("doomed")
                let job = try await cluster.submit(model.jobPath)
                let status = try await cluster.holdWorkers(job, units: 45)
                doomed.send(SIGKILL)
                #expect(try await doomed.exitCode() == 128 + SIGKILL)
                try #require(status.finishedUnits < status.totalUnits)
                try cluster.startWorker("heir")
                try await cluster.waitForSuccess(job)
            }
            try requireSameBytes(output, whole)
        }

        @Test func `a plan and an inspection say form, ranks and floor`() async throws {
            setForm("ranks: {inputs: 5, gradients: 7}, floor: 0.5")
            try model.write()
            let plan = try await Client.run(["plan", model.jobPath], in: model.directory)
            #expect(
                plan.output.contains("\nregularizers: pseudo_rows of ranks 5 and 7, floor 0.5\n"),
                "\(plan.output) \(plan.errors)")
            #expect(plan.output.contains("\njoint rows "))
            let lines = try await Client.runJob(model.jobPath, in: model.directory).output
            #expect(!lines.contains("eq. 8"), "\(lines)")
            let output = "\(model.directory.path)/\(model.job.output)"
            let file = "\(output)/regularizer/alpha/regularizer.safetensors"
            let inspection = try await Client.run(["inspect", file], in: model.directory)
            for line in ["form: pseudo_rows", "ranks: {\"inputs\":5,\"gradients\":7}", "floor: 0.5"] {
                #expect(inspection.output.contains("\n\(line)\n"), "\(inspection.output)")
            }
            #expect(inspection.output.contains("fc.gradient_rows"))
            let page = try String(contentsOfFile: "\(output)/report.html", encoding: .utf8)
            #expect(page.contains("id=\"pseudo-rows\"") && page.contains("5 of 10"))
        }
    }

    /// The joint form of one sample, which is exact.
    @Suite struct JointSampleTests {
        private static let (width, inner, outer) = (3, 4, 2)

        /// f(x) = W₂ tanh(W₁ x + b₁) at one x.
        private struct Network {
            let input: [Double]
            let first: [Double]
            let bias: [Double]
            let second: [Double]
            let hidden: [Double]

            init(_ random: inout SplitMix64) {
                let (input, first) = (random.values(width), random.values(inner * width))
                let bias = random.values(inner)
                (self.input, self.first, self.bias) = (input, first, bias)
                second = random.values(outer * inner)
                hidden = (0..<inner).map { row in
                    tanh((0..<width).reduce(bias[row]) { $0 + first[row * width + $1] * input[$1] })
                }
            }

            /// The derivative of tanh.
            func slope(_ row: Int) -> Double { 1 - hidden[row] * hidden[row] }

            /// J τ, by the rules of the derivative.
            func change(_ first: [Double], _ bias: [Double], _ second: [Double]) -> [Double] {
                let moved = (0..<inner).map { row in
                    slope(row) * (0..<width).reduce(bias[row]) { $0 + first[row * width + $1] * input[$1] }
                }
                return (0..<outer).map { output in
                    (0..<inner).reduce(0.0) { sum, row in
                        let place = output * inner + row
                        return sum + self.second[place] * moved[row] + second[place] * hidden[row]
                    }
                }
            }

            func write(to directory: TemporaryDirectory) throws {
                func floats(_ values: [Double]) -> [Float] { values.map { Float($0) } }
                let base = TensorFile(
                    [
                        Tensor("one.weight", [inner, width], floats(first)), Tensor("one.bias", [inner], floats(bias)),
                        Tensor("two.weight", [outer, inner], floats(second)),
                    ], metadata: [:])
                try base.write(to: directory.appending("base.safetensors"))
                // The probes are the basis of the outputs.
                let gradients = (0..<outer * inner).map { second[$0] * slope($0 % inner) }
                let basis = (0..<outer * outer).map { $0 / outer == $0 % outer ? 1.0 : 0 }
                let capture = TensorFile(
                    [
                        Tensor("one.input", [1, width], floats(input)),
                        Tensor("one.output_grad", [outer, inner], floats(gradients)),
                        Tensor("two.input", [1, inner], floats(hidden)),
                        Tensor("two.output_grad", [outer, outer], floats(basis)),
                    ],
                    metadata: ["format": "kfacd.capture/1", "samples": "1", "probes": "\(outer)", "task": "one"])
                try capture.write(to: directory.appending("capture.safetensors"))
            }
        }

        /// vᵀ Δ u of a layer.
        private func product(_ gradient: ArraySlice<Double>, _ change: [Double], _ input: [Double]) -> Double {
            gradient.enumerated().reduce(0.0) { sum, row in
                let image = input.indices.reduce(0.0) { $0 + change[row.offset * input.count + $1] * input[$1] }
                return sum + row.element * image
            }
        }

        @Test func `of one sample the penalty is the squared change of the outputs`() async throws {
            let directory = try TemporaryDirectory()
            var random = SplitMix64(seed: 3)
            let network = Network(&random)
            try network.write(to: directory)
            var job = JobFile(output: "out")
            job.tasks = [JobFile.Task(name: "one", captures: ["capture.safetensors"])]
            job.curvature = [
                "normalization: expand", "exact_probes: true",
                "regularizer: {form: pseudo_rows, targets: all, floor: none}",
            ]
            job.outputs = ["regularizer"]
            let path = directory.appending("job.yaml")
            try job.write(to: path)
            try await Client.runJob(path, workers: 1, in: directory)
            let file = try TensorFile(reading: directory.appending("out/regularizer/all/regularizer.safetensors"))
            let (u1, u2) = (try file.tensor("one.input_rows").values, try file.tensor("two.input_rows").values)
            let (v1, v2) = (try file.tensor("one.gradient_rows").values, try file.tensor("two.gradient_rows").values)
            let (width, inner, outer) = (Self.width, Self.inner, Self.outer)
            #expect(u1.count == width + 1 && v1.count == outer * inner)
            for _ in 0..<4 {
                let (first, bias) = (random.values(inner * width), random.values(inner))
                let second = random.values(outer * inner)
                let exact = network.change(first, bias, second).reduce(0.0) { $0 + $1 * $1 }
                let biased = (0..<inner).flatMap { first[$0 * width..<($0 + 1) * width] + [bias[$0]] }
                let penalty = (0..<outer).reduce(0.0) { sum, row in
                    let value =
                        product(v1[row * inner..<(row + 1) * inner], biased, u1)
                        + product(v2[row * outer..<(row + 1) * outer], second, u2)
                    return sum + value * value
                }
                expectClose(penalty, exact, relative: 1e-5)
            }
        }
    }
}
