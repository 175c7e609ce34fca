import Foundation
import TestSupport
import Testing

extension SerialIntegrationTests {
    /// Layers scaled to their exact trace, and sums of full blocks, against the rows and the written factors.
    @Suite(.timeLimit(.minutes(10))) struct BalanceTests {
        private let model: SmallModel
        private let layers = ["fc", "k", "q", "v"]

        init() throws {
            model = try SmallModel()
            model.job.outputs = ["factors", "regularizer", "report"]
        }

        private func object(_ text: String?) throws -> [String: Any] {
            try #require(try JSONSerialization.jsonObject(with: Data((text ?? "").utf8)) as? [String: Any])
        }

        private func factors(_ output: String, _ task: String) throws -> TensorFile {
            try TensorFile(reading: "\(output)/factors/\(task)/factors.safetensors")
        }

        private func regularizer(_ output: String, _ target: String = "all") throws -> TensorFile {
            try TensorFile(reading: "\(output)/regularizer/\(target)/regularizer.safetensors")
        }

        private func report(_ output: String) throws -> [String: Any] {
            try object(String(contentsOfFile: "\(output)/report.json", encoding: .utf8))
        }

        private func rows(_ tensor: Tensor) -> [[Double]] {
            let (values, width) = (tensor.values, tensor.shape[1])
            return stride(from: 0, to: values.count, by: width).map { Array(values[$0..<$0 + width]) }
        }

        /// The mean of ‖Σ_p g_p ã_pᵀ‖² over samples and probes.
        private func exactTrace(_ task: String, _ layer: String) throws -> Double {
            let capture = try #require(model.captures[task])
            let inputs = rows(try capture.tensor("\(layer).input")).map { layer == "fc" ? $0 : $0 + [1] }
            let gradients = rows(try capture.tensor("\(layer).output_grad"))
            var trace = 0.0
            for probe in 0..<SmallModel.probes {
                for sample in 0..<SmallModel.samples {
                    let own = sample * SmallModel.positions..<(sample + 1) * SmallModel.positions
                    for row in gradients[0].indices {
                        for column in inputs[0].indices {
                            let element = own.reduce(0) {
                                $0 + gradients[probe * inputs.count + $1][row] * inputs[$1][column]
                            }
                            trace += element * element
                        }
                    }
                }
            }
            return trace / Double(SmallModel.samples * SmallModel.probes)
        }

        private func trace(_ tensor: Tensor) -> Double {
            (0..<tensor.shape[0]).reduce(0) { $0 + tensor.values[$1 * (tensor.shape[0] + 1)] }
        }

        private func sum(_ terms: [(Double, [Double])]) -> [Double] {
            terms[0].1.indices.map { index in terms.reduce(0) { $0 + $1.0 * $1.1[index] } }
        }

        @Test(arguments: ["tak", "expand", "reduce"])
        func `each layer and task gets its exact trace, with the same bytes from any number of workers`(
            normalization: String
        ) async throws {
            model.job.curvature = [
                "normalization: \(normalization)", "regularizer: {targets: all, balance: trace, one_dimensional: sum}",
            ]
            var outputs: [String] = []
            for workers in 1...3 {
                model.job.output = "out-\(workers)"
                try model.write()
                outputs.append(try await model.run(workers: workers))
            }
            for other in outputs.dropFirst() { try requireSameBytes(other, outputs[0]) }
            let output = outputs[0]
            let sums = try regularizer(output)
            #expect(sums.metadata["balance"] == "trace" && sums.metadata["one_dimensional"] == "sum")
            let reported = try #require(try report(output)["layers"] as? [[String: Any]])
            for layer in layers {
                var terms: [(Double, [Double])] = []
                let row = try #require(reported.first { $0["name"] as? String == layer })
                let inReport = try #require(row["balance"] as? [String: Double])
                for task in SmallModel.taskNames {
                    let file = try factors(output, task)
                    let scalar = try #require(try object(file.metadata["balance"])[layer] as? Double)
                    #expect(inReport[task] == scalar)
                    let (input, gradient) = (try file.tensor("\(layer).A"), try file.tensor("\(layer).B"))
                    expectClose(
                        scalar * trace(input) * trace(gradient), try exactTrace(task, layer), relative: 1e-4)
                    terms.append((scalar, gradient.values))
                }
                #expect(relativeDistance(try sums.tensor("\(layer).B").values, sum(terms)) < 1e-6)
            }
            let blocks = try SmallModel.taskNames.map { (1.0, try factors(output, $0).tensor("norm.weight.F").values) }
            #expect(relativeDistance(try sums.tensor("norm.weight.F").values, sum(blocks)) < 1e-6)
        }

        @Test func `finished factors with their scalars give the regularizer of the rows`() async throws {
            model.job.curvature = ["regularizer: {form: optimal, balance: trace}"]
            model.job.output = "rows"
            try model.write()
            let captured = try await model.run()
            for index in model.job.tasks.indices {
                model.job.tasks[index].factors = "rows/factors/\(SmallModel.taskNames[index])"
                model.job.tasks[index].captures = []
                model.job.tasks[index].name = SmallModel.taskNames[index]
            }
            model.job.outputs = ["factors", "regularizer"]
            model.job.output = "finished"
            try model.write()
            let finished = try await model.run()
            for task in SmallModel.taskNames {
                let (found, expected) = (try factors(finished, task), try factors(captured, task))
                #expect(found.metadata["balance"] == expected.metadata["balance"])
                for tensor in try regularizer(captured, task).tensors {
                    #expect(try regularizer(finished, task).tensor(tensor.name).values == tensor.values)
                }
            }
        }

        @Test func `partial sums with exact traces give the regularizer of the rows`() async throws {
            model.job.outputs = ["regularizer"]
            model.job.curvature = ["regularizer: {targets: all, balance: trace}"]
            model.job.output = "rows"
            try model.write()
            let captured = try await model.run()
            for (index, task) in SmallModel.taskNames.enumerated() {
                let sums = PartialSums(capture: try #require(model.captures[task]))
                for part in PartialSums.split(ranks: 1, flushes: 2) {
                    var file = try sums.file(rank: 0, sequence: part.sequence, samples: part.samples)
                    // Half of the samples each, so the halves of the whole sum are as good as their own.
                    let half = Double(SmallModel.samples * SmallModel.probes) / 2
                    let traces = try layers.map { "\"\($0)\":\(half * (try exactTrace(task, $0)))" }
                    file.metadata["exact_trace"] = "{\(traces.joined(separator: ","))}"
                    try file.write(to: model.directory.appending("partials/\(task)/\(part.sequence).safetensors"))
                }
                model.job.tasks[index].captures = []
                model.job.tasks[index].factors = "partials/\(task)"
            }
            model.job.output = "sums"
            try model.write()
            let summed = try await model.run()
            for tensor in try regularizer(captured).tensors {
                #expect(relativeDistance(try regularizer(summed).tensor(tensor.name).values, tensor.values) < 1e-5)
            }
        }

        @Test func `a factor set without scalars is refused by name`() async throws {
            model.job.outputs = ["factors"]
            model.job.output = "plain"
            try model.write()
            try await model.run()
            model.job.tasks[1].captures = []
            model.job.tasks[1].factors = "plain/factors/beta"
            model.job.curvature = ["regularizer: {balance: trace}"]
            model.job.outputs = ["regularizer"]
            model.job.output = "out"
            try model.write()
            let refused = try await Client.run(["run", model.jobPath, "--quiet"], in: model.directory)
            #expect(refused.exitCode == 2)
            #expect(
                refused.errors.contains(
                    "factors of task \"beta\" (plain/factors/beta): the factor set states no \"balance\" of 4 of the 4 layers "
                        + "(\"fc\", \"k\", \"q\", \"v\"), so \"balance: trace\" cannot scale them."),
                "\(refused.errors)")
        }

        @Test(arguments: [("balance", "{\"fc\":1,\"gone\":2}"), ("uses", "{\"gone\":[\"a\",\"b\"]}")])
        func `metadata of a factor set about layers that it lacks is refused by name`(
            key: String, text: String
        ) async throws {
            model.job.outputs = ["factors"]
            try model.write()
            var file = try factors(try await model.run(to: "plain"), "beta")
            file.metadata[key] = text
            try file.write(to: model.directory.appending("stray/beta.safetensors"))
            model.job.tasks[1].captures = []
            model.job.tasks[1].factors = "stray/beta.safetensors"
            try model.write()
            try await model.expectRefusal("metadata \"\(key)\" names \"gone\", of which the files hold no factors;")
        }

        @Test func `partial sums with the exact trace of a layer that they lack are refused by name`() async throws {
            let sums = PartialSums(capture: try #require(model.captures["beta"]))
            for part in PartialSums.split(ranks: 1, flushes: 1) {
                var file = try sums.file(rank: 0, sequence: part.sequence, samples: part.samples)
                file.metadata["exact_trace"] = "{\"gone\":1}"
                try file.write(to: model.directory.appending("partials/beta/\(part.sequence).safetensors"))
            }
            model.job.tasks[1].captures = []
            model.job.tasks[1].factors = "partials/beta"
            try model.write()
            try await model.expectRefusal("metadata \"exact_trace\"")
        }

        /// Equal scalars would cancel in a layer's merge; those of different tasks do not.
        @Test(arguments: ["kfac", "kfac_exact"]) func `merges weigh tasks by their balanced factors`(
            method: String
        ) async throws {
            model.job.method = method
            model.job.outputs = ["factors", "merged"]
            var merged: [String: TensorFile] = [:]
            for balance in ["none", "trace"] {
                model.job.curvature = ["regularizer: {balance: \(balance)}"]
                merged[balance] = try TensorFile(
                    reading: "\(try await model.run(to: balance))/merged/model.safetensors")
            }
            // The job with the written factors scaled by hand, without a balance.
            for (index, task) in SmallModel.taskNames.enumerated() {
                var file = try factors(model.directory.appending("trace"), task)
                let scalars = try object(file.metadata["balance"])
                file.metadata["balance"] = nil
                file.tensors = file.tensors.map { tensor in
                    guard tensor.name.hasSuffix(".B"), let scalar = scalars[String(tensor.name.dropLast(2))] as? Double
                    else { return tensor }
                    return Tensor(tensor.name, tensor.shape, tensor.values.map { Float(scalar * $0) })
                }
                try file.write(to: model.directory.appending("scaled/\(task).safetensors"))
                model.job.tasks[index].captures = []
                model.job.tasks[index].factors = "scaled/\(task).safetensors"
            }
            model.job.outputs = ["merged"]
            model.job.curvature = []
            let scaled = try TensorFile(reading: "\(try await model.run(to: "scaled-out"))/merged/model.safetensors")
            for layer in layers {
                let name = "\(layer).weight"
                let found = try #require(merged["trace"]).tensor(name).values
                #expect(relativeDistance(found, try scaled.tensor(name).values) < 1e-5)
                #expect(relativeDistance(found, try #require(merged["none"]).tensor(name).values) > 1e-4)
            }
        }
    }
}
