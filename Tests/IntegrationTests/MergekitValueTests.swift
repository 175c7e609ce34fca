import Foundation
import TestSupport
import Testing

extension SerialIntegrationTests {
    /// Compares merges with mergekit 0.1.5 on the same configuration and checkpoints; mergekit's own program was run
    /// once.
    ///
    /// Three checkpoints of one value each: base 1, a 3, c 10.
    @Suite struct MergekitValueTests {
        /// A configuration, and mergekit's value for each of ``Self/tensors``.
        struct Case: CustomTestStringConvertible {
            var configuration: String
            var values: [Double]

            init(_ configuration: String, _ values: Double...) {
                self.configuration = configuration
                self.values = values.count == 1 ? Array(repeating: values[0], count: 6) : values
            }

            var testDescription: String { configuration }
        }

        private static let tensors =
            ["model.embed_tokens.weight"] + (0..<4).map { "model.layers.\($0).mlp.up_proj.weight" } + [
                "model.layers.1.self_attn.q_proj.weight"
            ]
        private static let models =
            "models: [{model: a, parameters: {weight: 0.5}}, {model: c, parameters: {weight: 0.3}}]\n"
        private static let linear = "merge_method: linear\n"
        private static let arithmetic = "merge_method: task_arithmetic\nbase_model: b\n"

        private static let cases = [
            Case(linear + models, 5.625), Case(linear + models + "parameters: {normalize: false}\n", 4.5),
            Case(linear + models + "parameters: {lambda: 0.5}\n", 5.625),
            Case(linear + "base_model: b\nmodels: [{model: a}, {model: c}]\nparameters: {weight: 0.5}\n", 4.666667),
            Case(
                linear + "base_model: b\nmodels:\n- {model: b, parameters: {weight: 0.5}}\n"
                    + "- {model: a, parameters: {weight: 0.5}}\n", 2),
            Case(linear + "models: [{model: a, parameters: {weight: 0.5}}]\n", 3),
            Case(linear + "models: [{model: a, parameters: {weight: 0.5}}]\nparameters: {normalize: 0}\n", 1.5),
            Case(arithmetic + models, 4.7), Case(arithmetic + models + "parameters: {normalize: yes}\n", 5.625),
            Case(arithmetic + models + "parameters: {normalize: off}\n", 4.7),
            Case(
                arithmetic + models + "parameters: {normalize: [{filter: mlp, value: true}]}\n",
                4.7, 5.625, 5.625, 5.625, 5.625, 4.7),
            Case(arithmetic + models + "parameters: {lambda: 0.5}\n", 2.85),
            Case(
                arithmetic + models + "parameters: {lambda: [1, 2, 4]}\n", 4.7, 4.7, 7.166667, 10.866667, 15.8, 7.166667
            ),
            Case(
                arithmetic + models + "parameters: {lambda: [{filter: mlp, value: [1, 2]}, {value: 3}]}\n",
                12.1, 4.7, 5.933333, 7.166667, 8.4, 12.1),
            Case(
                arithmetic
                    + "models: [{model: a, parameters: {weight: 0.5, lambda: 9, normalize: true, density: 0.3}}]\n",
                2),
            Case(
                arithmetic + "models:\n- {model: b, parameters: {weight: 7}}\n- {model: a, parameters: {weight: 0.5}}\n"
                    + "parameters: {normalize: true}\n", 3),
            Case(
                arithmetic + "models:\n- {model: a, parameters: {weight: 1}}\n- {model: c, parameters: {weight: -1}}\n"
                    + "parameters: {normalize: true}\n", -6),
            Case(
                arithmetic + "models: [{model: a, parameters: {weight: [\"0\", \"0.5\", 1]}}]\n",
                1, 1, 1.666667, 2.333333, 3, 1.666667),
            Case(
                arithmetic + "models: [{model: a, parameters: {weight: [{filter: mlp, value: 0.5}]}}]\n"
                    + "parameters: {weight: 2}\n", 5, 2, 2, 2, 2, 5),
            Case("merge_method: ties\nbase_model: b\n" + models + "parameters: {int8_mask: true}\n", 5.625),
            Case(
                "merge_method: ties\nbase_model: b\n" + models + "parameters: {normalize: false, lambda: 0.5}\n", 2.85),
            Case("merge_method: dare_ties\nbase_model: b\n" + models, 4.7),
            Case("merge_method: dare_linear\nbase_model: b\n" + models + "parameters: {normalize: true}\n", 5.625),
            Case("merge_method: della\nbase_model: b\n" + models, 5.625),
            Case("merge_method: breadcrumbs\nbase_model: b\n" + models, 4.7),
            Case(
                "merge_method: slerp\nbase_model: b\nmodels: [{model: b}, {model: a}]\n"
                    + "parameters: {t: [{filter: mlp, value: [0, 0.5, 1]}, {value: 0.25}]}\n",
                1.5, 1, 1.666667, 2.333333, 3, 1.5),
            Case(
                "merge_method: passthrough\n"
                    + "models: [{model: a, parameters: {scale: [{filter: mlp, value: 0.5}, {value: 1}]}}]\n",
                3, 1.5, 1.5, 1.5, 1.5, 3),
            Case(
                arithmetic + "models: [{model: a, <<: [{parameters: {weight: 0.5}}, {parameters: {weight: 9}}]}]\n", 2),
        ]

        @Test(arguments: cases)
        func `a merge has mergekit's values`(expected: Case) async throws {
            let directory = try TemporaryDirectory()
            for (name, value) in [("b", 1), ("a", 3), ("c", 10)] as [(String, Float)] {
                let tensors = (Self.tensors + ["lm_head.weight"]).map { Tensor($0, [2], [value, value]) }
                try TensorFile(tensors).write(to: directory.appending("\(name)/model.safetensors"))
            }
            let job = directory.appending("job.yaml")
            try Data((expected.configuration + "output: out\n").utf8).write(to: URL(fileURLWithPath: job))
            try await Client.runJob(job, in: directory, options: ["--quiet"])
            let merged = try TensorFile(reading: directory.appending("out/merged/model.safetensors"))
            for (tensor, value) in zip(Self.tensors, expected.values) {
                let found = try merged.tensor(tensor).values[0]
                #expect(abs(found - value) < 2e-6, "\(tensor): \(found), mergekit has \(value)")
            }
        }
    }

    /// The base among the models, in each way to write it, and the console's notice.
    @Suite struct ListedBaseTests {
        private let directory: TemporaryDirectory

        init() throws {
            directory = try TemporaryDirectory()
            for (name, value) in [("b", 0), ("a", 1)] as [(String, Float)] {
                try TensorFile([Tensor("w", [2], [value, value])])
                    .write(to: directory.appending("\(name)/model.safetensors"))
            }
            try FileManager.default.createSymbolicLink(
                atPath: directory.appending("link"), withDestinationPath: directory.appending("b"))
        }

        private func run(_ method: String, listed: String) async throws -> (value: Double, errors: String) {
            let text = """
                merge_method: \(method)
                base_model: b
                models:
                - {model: \(listed), parameters: {weight: 0.5}}
                - {model: a, parameters: {weight: 0.5}}
                output: out
                """
            let job = directory.appending("job.yaml")
            try Data(text.utf8).write(to: URL(fileURLWithPath: job))
            let result = try await Client.runJob(job, in: directory, options: ["--quiet", "--overwrite"])
            let merged = try TensorFile(reading: directory.appending("out/merged/model.safetensors"))
            return (try merged.tensor("w").values[0], result.errors)
        }

        @Test(arguments: ["b", "./b", "b/", "b/../b", "link", "b/model.safetensors", "ABSOLUTE"])
        func `a listed base counts in an average and is nothing to task arithmetic`(written: String) async throws {
            let listed = written == "ABSOLUTE" ? directory.appending("b") : written
            #expect(try await run("linear", listed: listed).value == 0.5)
            #expect(try await run("weighted_average", listed: listed).value == 0.5)
            let arithmetic = try await run("task_arithmetic", listed: listed)
            #expect(arithmetic.value == 0.5)
            #expect(
                arithmetic.errors.contains(
                    "note: job.yaml:4:3: this entry is the base itself; under \"task_arithmetic\" it contributes "
                        + "nothing, as in mergekit."))
        }
    }
}
