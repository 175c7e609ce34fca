import Foundation
import TestSupport
import Testing

extension SerialIntegrationTests {
    /// A small mixture of experts, with its experts stacked and one by one: the merges are the same bits.
    @Suite(.timeLimit(.minutes(10))) struct StackedExpertTests {
        private static let (experts, width, inner) = (3, 6, 4)
        private static let prefix = "model.layers.0.mlp.experts"
        private static let models = ["base", "a", "b"]

        private let directory: TemporaryDirectory
        /// Model, expert: gate [inner, width], up [inner, width], down [width, inner].
        private var weights: [String: [[[Float]]]] = [:]
        private var router: [String: Tensor] = [:]

        init() throws {
            directory = try TemporaryDirectory()
            var random = SplitMix64(seed: 4)
            let size = Self.width * Self.inner
            for model in Self.models {
                weights[model] = (0..<Self.experts).map { _ in
                    (0..<3).map { _ in random.values(size).map { Float($0) } }
                }
                router[model] = Tensor(
                    "model.layers.0.mlp.gate.weight", [Self.experts, Self.width],
                    random.values(Self.experts * Self.width).map { Float($0) })
            }
        }

        // MARK: - Forms

        /// A way to store the experts.
        private enum Form: String {
            /// Three matrices for each expert.
            case separate
            /// Gate and up in one matrix for each expert.
            case paired
            /// Gate and up in one tensor [experts, 2 · inner, width].
            case stacked
            /// The same, transposed.
            case transposed
            /// The same, transposed, the outputs of gate and up in turns.
            case interleaved
        }

        private func transposed(_ values: [Float], _ rows: Int, _ columns: Int) -> [Float] {
            (0..<columns).flatMap { column in (0..<rows).map { values[$0 * columns + column] } }
        }

        /// The rows of two matrices in turns.
        private func turns(_ one: [Float], _ other: [Float]) -> [Float] {
            (0..<Self.inner).flatMap { row in
                let part = row * Self.width..<(row + 1) * Self.width
                return Array(one[part]) + Array(other[part])
            }
        }

        private func tensors(_ weights: [[[Float]]], _ form: Form) -> [Tensor] {
            let (width, inner, prefix) = (Self.width, Self.inner, Self.prefix)
            switch form {
            case .separate, .paired:
                return weights.enumerated().flatMap { expert, parts in
                    let name = "\(prefix).\(expert)"
                    let reading =
                        form == .paired
                        ? [Tensor("\(name).gate_up_proj.weight", [2 * inner, width], parts[0] + parts[1])]
                        : [
                            Tensor("\(name).gate_proj.weight", [inner, width], parts[0]),
                            Tensor("\(name).up_proj.weight", [inner, width], parts[1]),
                        ]
                    return reading + [Tensor("\(name).down_proj.weight", [width, inner], parts[2])]
                }
            case .stacked:
                return [
                    Tensor("\(prefix).gate_up_proj", [3, 2 * inner, width], weights.flatMap { $0[0] + $0[1] }),
                    Tensor("\(prefix).down_proj", [3, width, inner], weights.flatMap { $0[2] }),
                ]
            case .transposed, .interleaved:
                let reading = weights.map { parts in
                    form == .transposed ? parts[0] + parts[1] : turns(parts[0], parts[1])
                }
                return [
                    Tensor(
                        "\(prefix).gate_up_proj", [3, width, 2 * inner],
                        reading.flatMap { transposed($0, 2 * inner, width) }),
                    Tensor(
                        "\(prefix).down_proj", [3, inner, width], weights.flatMap { transposed($0[2], width, inner) }),
                ]
            }
        }

        private func merge(_ method: String, _ form: Form, type: String, rest: String = "") async throws -> [Tensor] {
            for model in Self.models {
                let own = try #require(weights[model])
                let tensors = tensors(own, form) + [try #require(router[model])]
                try TensorFile(tensors).write(to: directory.appending("\(form)/\(model)/model.safetensors"))
                try Data("{\"model_type\": \"\(type)\", \"hidden_size\": \(Self.width)}".utf8).write(
                    to: URL(fileURLWithPath: directory.appending("\(form)/\(model)/config.json")))
            }
            let job = directory.appending("\(form)/job.yaml")
            let text = """
                merge_method: \(method)
                base_model: base
                models: [{model: a}, {model: b}]
                parameters: {t: 0.3}
                \(rest)
                output: out

                """
            try Data(text.utf8).write(to: URL(fileURLWithPath: job))
            try await Client.runJob(job, in: directory, options: ["--quiet", "--overwrite"])
            return try TensorFile(reading: directory.appending("\(form)/out/merged/model.safetensors")).tensors
        }

        /// Gate, up and down of each merged expert.
        private func experts(_ merged: [Tensor], _ form: Form) throws -> [[[Float]]] {
            let (width, inner, prefix) = (Self.width, Self.inner, Self.prefix)
            let file = TensorFile(merged)
            func values(_ name: String) throws -> [Float] {
                try file.tensor("\(prefix).\(name)").values.map { Float($0) }
            }
            let size = inner * width
            return try (0..<Self.experts).map { expert in
                if form == .separate {
                    return try ["gate", "up", "down"].map { try values("\(expert).\($0)_proj.weight") }
                }
                var reading: [Float]
                var writing: [Float]
                if form == .paired {
                    reading = try values("\(expert).gate_up_proj.weight")
                    writing = try values("\(expert).down_proj.weight")
                } else {
                    reading = Array(try values("gate_up_proj")[2 * expert * size..<2 * (expert + 1) * size])
                    writing = Array(try values("down_proj")[expert * size..<(expert + 1) * size])
                }
                if form == .transposed || form == .interleaved {
                    reading = transposed(reading, width, 2 * inner)
                    writing = transposed(writing, inner, width)
                }
                guard form == .interleaved else { return [Array(reading[..<size]), Array(reading[size...]), writing] }
                let rows = (0..<2 * inner).map { Array(reading[$0 * width..<($0 + 1) * width]) }
                let halves = (0..<2).map { half in rows.indices.filter { $0 % 2 == half }.flatMap { rows[$0] } }
                return halves + [writing]
            }
        }

        // MARK: - Laws

        @Test(arguments: ["tsv_m", "iso_c", "iso_cts", "actmat", "tact", "wudi", "ace", "model_stock", "ties"])
        func `stacked experts merge as the same experts one by one`(method: String) async throws {
            let paired = try await merge(method, .paired, type: "qwen3_moe")
            let stacked = try await merge(method, .stacked, type: "qwen3_moe")
            #expect(try experts(stacked, .stacked) == experts(paired, .paired))
            #expect(
                stacked.first { $0.name.hasSuffix("gate.weight") }?.bytes
                    == paired.first {
                        $0.name.hasSuffix("gate.weight")
                    }?.bytes)
            let transposed = try await merge(method, .transposed, type: "llama4")
            // What does not depend on the layout, and takes models as they are, may round otherwise.
            #expect(try experts(transposed, .transposed) == experts(paired, .paired))
        }

        @Test(arguments: ["tsv_m", "actmat"])
        func `with split_fused, gates and their partners merge as matrices of their own`(method: String) async throws {
            let separate = try experts(try await merge(method, .separate, type: "qwen3_moe"), .separate)
            for (form, type) in [
                (Form.stacked, "qwen3_moe"), (.paired, "phi3"), (.transposed, "llama4"), (.interleaved, "gpt_oss"),
            ] {
                let merged = try await merge(method, form, type: type, rest: "split_fused: true")
                #expect(try experts(merged, form) == separate, "\(form)")
            }
            let whole = try await merge(method, .stacked, type: "qwen3_moe")
            #expect(try experts(whole, .stacked) != separate)
        }

        @Test func `a plan says how experts are merged, and a report lists their tensors as merged whole`() async throws
        {
            _ = try await merge("actmat", .transposed, type: "llama4")
            let plan = try await Client.run(
                ["plan", directory.appending("transposed/job.yaml"), "--overwrite"], in: directory)
            #expect(
                plan.errors.contains("config.json (hidden_size 6): the experts of")
                    || plan.output.contains(
                        "config.json (hidden_size 6): the experts of"),
                "\(plan)")
            let data = try Data(contentsOf: URL(fileURLWithPath: directory.appending("transposed/out/report.json")))
            let report = try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
            let merge = try #require(report["merge"] as? [String: Any])
            #expect(
                merge["merged_whole"] as? [String] == [
                    "\(Self.prefix).down_proj", "\(Self.prefix).gate_up_proj", "model.layers.0.mlp.gate.weight",
                ])
        }
    }
}
