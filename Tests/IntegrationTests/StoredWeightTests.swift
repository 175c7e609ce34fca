import Foundation
import TestSupport
import Testing

extension SerialIntegrationTests {
    /// Weights that are not plain [d_out, d_in] matrices, against the layers' own forward passes in float64.
    @Suite struct StoredWeightTests {
        // MARK: - Layers

        /// x W + b, with W [d_in, d_out].
        private static func transposed(_ name: String, _ inputs: Int, _ outputs: Int) -> StoredLayerExample {
            StoredLayerExample(
                name: name, inputs: inputs, outputs: outputs, tensors: ["\(name).weight", "\(name).bias"]
            ) { tensors, row in
                let (weight, bias) = (tensors["\(name).weight"] ?? [], tensors["\(name).bias"] ?? [])
                return (0..<outputs).map { output in
                    row.indices.reduce(bias[output]) { $0 + row[$1] * weight[$1 * outputs + output] }
                }
            }
        }

        /// Some outputs of x W + b, with W [d_in, all outputs].
        private static func columns(
            _ module: String, _ part: Range<Int>, of all: Int, inputs: Int
        ) -> StoredLayerExample {
            StoredLayerExample(
                name: "\(module)[\(part.lowerBound):\(part.upperBound)]", inputs: inputs, outputs: part.count,
                tensors: ["\(module).weight", "\(module).bias"]
            ) { tensors, row in
                let (weight, bias) = (tensors["\(module).weight"] ?? [], tensors["\(module).bias"] ?? [])
                return part.map { output in
                    var sum = bias[output]
                    for (input, value) in row.enumerated() { sum += value * weight[input * all + output] }
                    return sum
                }
            }
        }

        /// W x + b with some rows of stored tensors; an empty bias is none.
        private static func rows(
            _ name: String, of weight: String, _ bias: String, _ part: Range<Int>, inputs: Int
        ) -> StoredLayerExample {
            StoredLayerExample(
                name: name, inputs: inputs, outputs: part.count, tensors: bias.isEmpty ? [weight] : [weight, bias]
            ) { tensors, row in
                part.map { output in
                    row.indices.reduce(tensors[bias]?[output] ?? 0) {
                        $0 + row[$1] * (tensors[weight]?[output * inputs + $1] ?? 0)
                    }
                }
            }
        }

        /// The response of a convolution at one place, over channels, lines and columns of a patch.
        private static func convolution(
            _ name: String, of module: String, outputs: Range<Int>, channels: Int, kernel: (Int, Int)
        ) -> StoredLayerExample {
            let inputs = channels * kernel.0 * kernel.1
            return StoredLayerExample(
                name: name, inputs: inputs, outputs: outputs.count, tensors: ["\(module).weight", "\(module).bias"]
            ) { tensors, row in
                let (weight, bias) = (tensors["\(module).weight"] ?? [], tensors["\(module).bias"] ?? [])
                return outputs.map { output in
                    var sum = bias[output]
                    for channel in 0..<channels {
                        for line in 0..<kernel.0 {
                            for column in 0..<kernel.1 {
                                let pixel = row[(channel * kernel.0 + line) * kernel.1 + column]
                                let place = ((output * channels + channel) * kernel.0 + line) * kernel.1 + column
                                sum += pixel * weight[place]
                            }
                        }
                    }
                    return sum
                }
            }
        }

        /// An expert of a tensor [experts, d_in, d_out], with a bias [experts, d_out].
        private static func expert(_ index: Int, _ inputs: Int, _ outputs: Int) -> StoredLayerExample {
            let name = "mlp.experts.gate_up_proj"
            return StoredLayerExample(
                name: "\(name)[\(index)]", inputs: inputs, outputs: outputs, tensors: [name, "\(name)_bias"]
            ) { tensors, row in
                let (weight, bias) = (tensors[name] ?? [], tensors["\(name)_bias"] ?? [])
                return (0..<outputs).map { output in
                    row.indices.reduce(bias[index * outputs + output]) {
                        $0 + row[$1] * weight[(index * inputs + $1) * outputs + output]
                    }
                }
            }
        }

        private static let gpt2 = [
            transposed("h.0.attn.c_attn", 3, 9), transposed("h.0.attn.c_proj", 3, 3), transposed("h.0.mlp.c_fc", 3, 4),
            transposed("h.0.mlp.c_proj", 4, 3),
        ]
        private static let gpt2Tensors = gpt2.flatMap {
            [("\($0.name).weight", [$0.inputs, $0.outputs]), ("\($0.name).bias", [$0.outputs])]
        }

        // MARK: - Comparison

        /// Expects the merge, the interference and the penalties of the independent computation.
        private func expectIndependentValues(
            _ model: StoredModel, _ found: (merged: TensorFile, report: [String: Any])
        ) throws {
            let expected = try model.merged()
            for tensor in found.merged.tensors {
                let base = try model.base.tensor(tensor.name).values
                let moved = zip(tensor.values, base).map { $0 - $1 }
                let wanted = zip(expected[tensor.name] ?? [], base).map { $0 - $1 }
                #expect(relativeDistance(moved, wanted) < 1e-4, "\(tensor.name)")
            }
            let section = try #require(found.report["interference"] as? [String: Any])
            let matrix = try #require(section["matrix"] as? [[Double]])
            let interference = try model.interference()
            #expect(relativeDistance(matrix.flatMap { $0 }, interference.flatMap { $0 }) < 1e-5)
            // The regularizer without one of two tasks is the other's curvature.
            let penalties = try #require(found.report["penalties"] as? [String: [String: Double]])
            let own = try StoredModel.tasks.map { try #require(penalties[$0]).values.reduce(0, +) }
            #expect(relativeDistance(own, [interference[0][1], interference[1][0]]) < 1e-5)
        }

        // MARK: - Tests

        @Test func `a GPT-2 block merges the same however its layout is declared, square layers included`() async throws
        {
            let model = try StoredModel(Self.gpt2, tensors: Self.gpt2Tensors)
            try model.configure(#"{"model_type": "gpt2"}"#)
            let recognised = try await model.run("recognised")
            try expectIndependentValues(model, recognised)
            try model.configure(#"{"model_type": "own"}"#)
            model.job.curvature.append(#"layout: {"*.c_attn": in_out, "*.c_*": in_out}"#)
            let declared = try await model.run("declared")
            #expect(declared.merged.tensors.map(\.bytes) == recognised.merged.tensors.map(\.bytes))
            model.job.curvature.removeLast()
            let layers = Self.gpt2.map { #""\#($0.name)":"in_out""# }.joined(separator: ",")
            for task in StoredModel.tasks { model.captures[task]?.metadata["layout"] = "{\(layers)}" }
            let stated = try await model.run("stated")
            #expect(stated.merged.tensors.map(\.bytes) == recognised.merged.tensors.map(\.bytes))
            // A factor file carries the layout on, so that nobody declares it again.
            for index in model.job.tasks.indices {
                model.job.tasks[index].captures = []
                model.job.tasks[index].factors = "recognised/factors/\(StoredModel.tasks[index])"
            }
            let imported = try await model.run("imported")
            #expect(imported.merged.tensors.map(\.bytes) == recognised.merged.tensors.map(\.bytes))
            let inspected = try await Client.run(
                ["inspect", model.directory.appending("recognised/factors/alpha/factors.safetensors")],
                in: model.directory)
            #expect(inspected.output.contains("LAYOUT") && inspected.output.contains("in_out"), "\(inspected)")
        }

        @Test func `queries, keys and values of a fused projection merge alike in both layouts`() async throws {
            let parts = [0..<3, 3..<6, 6..<9]
            let model = try StoredModel(
                parts.map { Self.columns("c_attn", $0, of: 9, inputs: 4) },
                tensors: [("c_attn.weight", [4, 9]), ("c_attn.bias", [9])])
            model.job.curvature.append(#"layout: {"c_attn*": in_out}"#)
            let found = try await model.run()
            try expectIndependentValues(model, found)
            #expect(
                (found.report["merge"] as? [String: Any])?["merged_with_factors"] as? [String] == [
                    "c_attn.bias", "c_attn.weight",
                ])

            func transposed(_ file: TensorFile) throws -> TensorFile {
                let (weight, bias) = (try file.tensor("c_attn.weight"), try file.tensor("c_attn.bias"))
                let (rows, columns) = (weight.shape[0], weight.shape[1])
                let values = (0..<columns).flatMap { column in
                    (0..<rows).map { Float(weight.values[$0 * columns + column]) }
                }
                return TensorFile([Tensor("c_attn.weight", [columns, rows], values), bias], metadata: file.metadata)
            }
            let other = try StoredModel(
                parts.map {
                    Self.rows(
                        "c_attn[\($0.lowerBound):\($0.upperBound)]", of: "c_attn.weight", "c_attn.bias", $0, inputs: 4)
                },
                tensors: [("c_attn.weight", [9, 4]), ("c_attn.bias", [9])])
            other.base = try transposed(model.base)
            other.checkpoints = try model.checkpoints.mapValues(transposed)
            other.captures = model.captures
            let plain = try await other.run()
            for name in ["c_attn.weight", "c_attn.bias"] {
                #expect(try transposed(found.merged).tensor(name).bytes == plain.merged.tensor(name).bytes, "\(name)")
            }
        }

        @Test func `columns of a weight and of an expert merge beside others that take the mean`() async throws {
            let experts = "mlp.experts.gate_up_proj"
            let expert = StoredLayerExample(
                name: "\(experts)[1][2:4]", inputs: 3, outputs: 2, tensors: [experts, "\(experts)_bias"]
            ) { tensors, row in
                let (weight, bias) = (tensors[experts] ?? [], tensors["\(experts)_bias"] ?? [])
                return (2..<4).map { output in
                    var sum = bias[5 + output]
                    for (input, value) in row.enumerated() { sum += value * weight[(3 + input) * 5 + output] }
                    return sum
                }
            }
            let model = try StoredModel(
                [Self.columns("c_attn", 3..<6, of: 9, inputs: 4), expert],
                tensors: [
                    ("c_attn.weight", [4, 9]), ("c_attn.bias", [9]), (experts, [3, 3, 5]), ("\(experts)_bias", [3, 5]),
                ])
            model.job.curvature.append(#"layout: {"*": in_out}"#)
            try expectIndependentValues(model, try await model.run())
            model.job.others = ["dtype: bfloat16"]
            let rounded = try await model.run("rounded")
            let expected = try model.merged()
            for tensor in rounded.merged.tensors {
                #expect(relativeDistance(tensor.values, expected[tensor.name] ?? []) < 0x1p-8, "\(tensor.name)")
            }

            let tensor = try #require(model.checkpoints["beta"]).tensor("c_attn.weight")
            let place = try #require(model.checkpoints["beta"]?.tensors.firstIndex { $0.name == tensor.name })
            // Row 2, column 4: the seventh of the layer's own elements.
            model.checkpoints["beta"]?.tensors[place] = tensor.replacing(22, with: .nan)
            model.job.output = "refused"
            try model.write()
            let result = try await Client.run(
                ["run", model.directory.appending("job.yaml"), "--workers", "1"], in: model.directory)
            #expect(result.exitCode != 0)
            #expect(
                result.errors.contains("the weight of \"c_attn[3:6]\" holds NaN or infinity, first in element 7"),
                "\(result.errors)")
        }

        @Test func `an element that is not finite is counted as it is stored`() async throws {
            let model = try StoredModel(Self.gpt2, tensors: Self.gpt2Tensors)
            try model.configure(#"{"model_type": "gpt2"}"#)
            let name = "h.0.attn.c_attn.weight"
            let place = try #require(model.checkpoints["beta"]?.tensors.firstIndex { $0.name == name })
            let tensor = try #require(model.checkpoints["beta"]?.tensors[place])
            model.checkpoints["beta"]?.tensors[place] = tensor.replacing(10, with: .nan)
            try model.write()
            let result = try await Client.run(
                ["run", model.directory.appending("job.yaml"), "--workers", "1"], in: model.directory)
            #expect(result.exitCode != 0)
            #expect(
                result.errors.contains("the weight of \"h.0.attn.c_attn\" holds NaN or infinity, first in element 10"),
                "\(result.errors)")
        }

        @Test func `a transposed weight is rounded once into the output's type`() async throws {
            let model = try StoredModel(Self.gpt2, tensors: Self.gpt2Tensors)
            try model.configure(#"{"model_type": "gpt2"}"#)
            model.job.others = ["dtype: bfloat16"]
            let found = try await model.run()
            let expected = try model.merged()
            for tensor in found.merged.tensors {
                #expect(relativeDistance(tensor.values, expected[tensor.name] ?? []) < 0x1p-8, "\(tensor.name)")
            }
        }

        @Test func `convolutions, groups, fused projections, fused experts and tied heads merge as they compute`()
            async throws
        {
            let model = try StoredModel(
                [
                    Self.convolution("conv", of: "conv", outputs: 0..<3, channels: 2, kernel: (2, 2)),
                    Self.convolution("grouped[0:2]", of: "grouped", outputs: 0..<2, channels: 1, kernel: (1, 3)),
                    Self.convolution("grouped[2:4]", of: "grouped", outputs: 2..<4, channels: 1, kernel: (1, 3)),
                    Self.rows("attn.in_proj[0:3]", of: "attn.in_proj_weight", "attn.in_proj_bias", 0..<3, inputs: 3),
                    Self.rows("attn.in_proj[6:9]", of: "attn.in_proj_weight", "attn.in_proj_bias", 6..<9, inputs: 3),
                    Self.rows("attn.out_proj", of: "attn.out_proj.weight", "attn.out_proj.bias", 0..<3, inputs: 3),
                    Self.expert(0, 3, 4), Self.expert(2, 3, 4),
                    Self.rows("w1[0]", of: "w1", "", 0..<4, inputs: 3),
                    Self.rows("w1[1][0:2]", of: "w1", "", 4..<6, inputs: 3),
                    Self.rows("lm_head", of: "wte.weight", "", 0..<5, inputs: 3),
                ],
                tensors: [
                    ("conv.weight", [3, 2, 2, 2]), ("conv.bias", [3]), ("grouped.weight", [4, 1, 3]),
                    ("grouped.bias", [4]), ("attn.in_proj_weight", [9, 3]), ("attn.in_proj_bias", [9]),
                    ("attn.out_proj.weight", [3, 3]), ("attn.out_proj.bias", [3]),
                    ("mlp.experts.gate_up_proj", [3, 3, 4]), ("mlp.experts.gate_up_proj_bias", [3, 4]),
                    ("w1", [2, 4, 3]), ("wte.weight", [5, 3]), ("norm.weight", [3]),
                ])
            model.base.metadata = ["lm_head.weight": "wte.weight"]
            model.job.curvature.append(
                #"layout: {"*.gate_up_proj*": in_out, "attn.*": out_in}"#)
            let found = try await model.run()
            try expectIndependentValues(model, found)
            let merge = try #require(found.report["merge"] as? [String: Any])
            let withFactors = try #require(merge["merged_with_factors"] as? [String])
            #expect(withFactors.contains("attn.in_proj_weight") && !withFactors.contains("norm.weight"))
        }

        @Test func `running statistics of a batch normalisation are the base's`() async throws {
            let model = try StoredModel(
                [Self.rows("fc", of: "fc.weight", "", 0..<2, inputs: 3)],
                tensors: [
                    ("fc.weight", [2, 3]), ("bn.weight", [2]), ("bn.running_mean", [2]), ("bn.running_var", [2]),
                ])
            let found = try await model.run()
            for name in ["bn.running_mean", "bn.running_var"] {
                #expect(try found.merged.tensor(name).bytes == model.base.tensor(name).bytes)
            }
            #expect(try found.merged.tensor("bn.weight").bytes != model.base.tensor("bn.weight").bytes)
        }
    }
}
