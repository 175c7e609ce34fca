import Foundation
import TestSupport
import Testing

extension SerialIntegrationTests {
    /// Names and groups of layers: `rename`, patterns with `!`, and strengths in the regularizer.
    @Suite struct ModelNameTests {
        private let model: SmallModel

        init() throws { model = try SmallModel() }

        // MARK: - Renaming

        /// The name that PEFT gives to a tensor of a wrapped layer, or to one of a captured layer.
        private func wrapped(_ name: String) -> String {
            let parts = name.split(separator: ".").map(String.init)
            guard ["q", "k", "v", "fc"].contains(parts[0]) else { return "base_model.model.\(name)" }
            return (["base_model.model", parts[0], "base_layer"] + parts.dropFirst()).joined(separator: ".")
        }

        @Test func `captures and checkpoints of a model that PEFT wraps give the bytes of the plain model`()
            async throws
        {
            model.job.method = "kfac"
            let plain = try await model.run(to: "plain")
            let renamed = try await model.run(to: "renamed") { model in
                for name in SmallModel.taskNames {
                    for files in [\SmallModel.captures, \SmallModel.checkpoints] {
                        var file = try #require(model[keyPath: files][name])
                        file.tensors = file.tensors.map { $0.renamed(wrapped($0.name)) }
                        model[keyPath: files][name] = file
                    }
                }
                for index in model.job.tasks.indices {
                    model.job.tasks[index].others = [
                        "rename: {\"base_model.model.*\": \"*\", \"*.base_layer.*\": \"*.*\", \"*.base_layer\": \"*\"}"
                    ]
                }
            }
            #expect(try OutputTree(renamed).differences(from: OutputTree(plain)) == ["report.html", "report.json"])
            let tasks = try #require(try Report.read(in: renamed)["tasks"] as? [[String: Any]])
            let counts = tasks.compactMap { $0["renamed"] as? [String: Int] }
            #expect(counts == Array(repeating: ["tensors": 10, "layers": 4, "parameters": 1], count: 3))
        }

        @Test func `wrong names are refused with the entry that corrects them`() async throws {
            for name in SmallModel.taskNames {
                var file = try #require(model.captures[name])
                file.tensors = file.tensors.map { $0.renamed("module.\($0.name)") }
                model.captures[name] = file
            }
            try model.write()
            try await model.expectRefusal("or write rename: {\"module.*\": \"*\"} in the model's entry.")
        }

        // MARK: - Patterns

        @Test func `an exception leaves its layers out`() async throws {
            model.job.outputs = ["factors"]
            model.job.curvature = ["layers: [\"*\", \"!?\", \"q\"]"]
            let output = try await model.run(to: "out")
            let factors = try TensorFile(reading: "\(output)/factors/alpha/factors.safetensors")
            #expect(factors.tensors.map(\.name) == ["fc.A", "fc.B", "norm.weight.F", "q.A", "q.B"])
        }

        // MARK: - Strengths

        private static let strengths = ["fc": 0.3, "norm.weight": 10, "q": 0, "k": 0.3, "v": 0.3]

        private func regularizer(_ output: String) throws -> TensorFile {
            try TensorFile(reading: "\(output)/regularizer/alpha/regularizer.safetensors")
        }

        @Test(arguments: ["accumulated", "optimal, rank: 2", "per_task"])
        func `a strength multiplies B and F of the regularizer, and nothing else`(form: String) async throws {
            model.job.method = "kfac"
            model.job.outputs = ["factors", "regularizer", "merged", "report"]
            model.job.curvature = ["regularizer: {form: \(form)}"]
            let plain = try await model.run(to: "plain")
            let grouped = try await model.run(to: "grouped") {
                $0.job.curvature.append(
                    "groups: [{layers: \"*norm*\", strength: 10}, {layers: q, strength: 0}, {layers: \"*\", strength: 0.3}]"
                )
            }
            let (found, expected) = (try regularizer(grouped), try regularizer(plain))
            #expect(found.tensors.map(\.name) == expected.tensors.map(\.name))
            for tensor in expected.tensors {
                let owner = tensor.name.split(separator: "/").last?.split(separator: ".").dropLast()
                    .joined(separator: ".")
                let strength = tensor.name.hasSuffix(".A") ? 1 : try #require(Self.strengths[owner ?? ""])
                #expect(try found.tensor(tensor.name).values == tensor.values.map { Double(Float($0 * strength)) })
            }
            let stated = try JSONSerialization.jsonObject(with: Data(try #require(found.metadata["strength"]).utf8))
            #expect(stated as? [String: Double] == Self.strengths)
            #expect(expected.metadata["strength"] == nil)
            let others = try OutputTree(grouped).differences(from: OutputTree(plain))
            #expect(
                others == SmallModel.taskNames.map { "regularizer/\($0)/regularizer.safetensors" } + [
                    "report.html", "report.json",
                ])
        }

        /// s tr(B Δ A Δᵀ), with the written B, which has s, and the written A.
        @Test func `the report's penalty is the one of the written regularizer`() async throws {
            model.job.outputs = ["regularizer", "report"]
            model.job.curvature = ["groups: [{layers: fc, strength: 0.3}]"]
            let output = try await model.run(to: "out")
            let regularizer = try regularizer(output)
            let (b, a) = (try regularizer.tensor("fc.B").values, try regularizer.tensor("fc.A").values)
            let (own, base) = (try #require(model.checkpoints["alpha"]), model.base)
            let delta = zip(try own.tensor("fc.weight").values, try base.tensor("fc.weight").values).map { $0 - $1 }
            let (rows, columns) = (7, 5)
            var penalty = 0.0
            for i in 0..<rows {
                for j in 0..<rows {
                    for k in 0..<columns {
                        for l in 0..<columns {
                            penalty +=
                                b[i * rows + j] * delta[j * columns + k] * a[k * columns + l]
                                * delta[i * columns + l]
                        }
                    }
                }
            }
            let penalties = try #require(try Report.read(in: output)["penalties"] as? [String: [String: Double]])
            let stated = try #require(penalties["alpha"]?["fc"])
            #expect(abs(stated - penalty) <= 1e-5 * penalty)
            let options = try #require(try Report.read(in: output)["options"] as? [String: Any])
            let groups = try #require(options["groups"] as? [[String: Any]])
            #expect(groups.count == 1 && groups[0]["layers"] as? [String] == ["fc"])
        }
    }
}
