import Foundation
import TestSupport
import Testing

extension SerialIntegrationTests {
    /// Models of other vocabularies, and heads that are tied in one model and not in another.
    @Suite(.timeLimit(.minutes(10))) struct MismatchedShapeTests {
        private static let embedding = "model.embed_tokens.weight"
        private static let head = "lm_head.weight"
        private static let width = 4

        private let directory: TemporaryDirectory
        private var random = SplitMix64(seed: 9)

        init() throws { directory = try TemporaryDirectory() }

        /// A model, written with its configuration and its tokenizer.
        private struct Model {
            var tensors: [Tensor]
            var tokens: [String]?
            var configuration = #"{"model_type": "qwen3", "tie_word_embeddings": false}"#
        }

        private mutating func tensor(_ name: String, _ shape: [Int]) -> Tensor {
            Tensor(name, shape, random.values(shape.reduce(1, *)).map { Float($0) })
        }

        private func write(_ model: Model, _ name: String) throws {
            let place = directory.appending(name)
            try TensorFile(model.tensors).write(to: "\(place)/model.safetensors")
            try Data(model.configuration.utf8).write(to: URL(fileURLWithPath: "\(place)/config.json"))
            guard let tokens = model.tokens else { return }
            let vocabulary = tokens.dropLast().enumerated().map { "\"\($1)\": \($0)" }.joined(separator: ", ")
            let text = """
                {"model": {"type": "BPE", "vocab": {\(vocabulary)}},
                 "added_tokens": [{"id": \(tokens.count - 1), "content": "\(tokens.last ?? "")"}]}
                """
            try Data(text.utf8).write(to: URL(fileURLWithPath: "\(place)/tokenizer.json"))
        }

        private func job(_ method: String = "task_arithmetic", _ rest: String = "") throws -> String {
            let path = directory.appending("job.yaml")
            let text = """
                merge_method: \(method)
                base_model: base
                models: [{model: a}, {model: b}]
                \(rest)
                output: out

                """
            try Data(text.utf8).write(to: URL(fileURLWithPath: path))
            return path
        }

        private func merged(_ method: String = "task_arithmetic", _ rest: String = "") async throws -> (
            file: TensorFile, result: CommandResult
        ) {
            let result = try await Client.runJob(try job(method, rest), in: directory, options: ["--overwrite"])
            return (try TensorFile(reading: directory.appending("out/merged/model.safetensors")), result)
        }

        private func refused(_ rest: String, sourceLocation: SourceLocation = #_sourceLocation) async throws -> String {
            let result = try await Client.run(["plan", try job(rest: rest)], in: directory)
            #expect(result.exitCode != 0, "\(result.output)", sourceLocation: sourceLocation)
            return result.errors
        }

        private func job(rest: String) throws -> String { try job("task_arithmetic", rest) }

        // MARK: - Vocabularies

        /// The base has 8 rows, `a` 10 and `b` 7.
        private mutating func writeResized(_ changedToken: String? = nil) throws -> [String: [Tensor]] {
            let words = (0..<10).map { "t\($0)" }
            var models: [String: [Tensor]] = [:]
            for (name, rows) in [("base", 8), ("a", 10), ("b", 7)] {
                let tensors = [
                    tensor(Self.embedding, [rows, Self.width]), tensor("model.norm.weight", [Self.width]),
                    tensor(Self.head, [rows, Self.width]),
                ]
                models[name] = tensors
                var tokens = Array(words.prefix(rows))
                if name == "a", let changedToken { tokens[5] = changedToken }
                try write(Model(tensors: tensors, tokens: tokens), name)
            }
            return models
        }

        @Test(arguments: ["task_arithmetic", "tsv_m", "ties"])
        mutating func `slice merges the rows that all models have, as a job over these rows alone`(method: String)
            async throws
        {
            let models = try writeResized()
            let (found, result) = try await merged(method, "mismatched_shapes: slice")
            #expect(
                (result.output + result.errors).contains(
                    "\"lm_head.weight\", \"model.embed_tokens.weight\" are merged in the first 7 rows, which all models have "
                        + "(mismatched_shapes: slice). The base's further 1 row is kept."), "\(result)")
            for (name, tensors) in models {
                try write(Model(tensors: tensors.map { $0.shape.count == 2 ? $0.rows(0..<7) : $0 }), name)
            }
            let (expected, _) = try await merged(method)
            for name in [Self.embedding, Self.head] {
                let tensor = try found.tensor(name)
                #expect(tensor.shape == [8, Self.width])
                #expect(try tensor.rows(0..<7).bytes == expected.tensor(name).bytes)
                #expect(tensor.rows(7..<8).bytes == models["base"]?.first { $0.name == name }?.rows(7..<8).bytes)
            }
            #expect(try found.tensor("model.norm.weight").bytes == expected.tensor("model.norm.weight").bytes)
        }

        @Test mutating func `the kept rows have the type of the merged checkpoint`() async throws {
            let models = try writeResized()
            let (found, _) = try await merged("task_arithmetic", "mismatched_shapes: slice\ndtype: bfloat16")
            let base = try #require(models["base"]?.first)
            #expect(
                try found.tensor(Self.embedding).rows(7..<8).bytes == base.converted(to: .bfloat16).rows(7..<8).bytes)
        }

        @Test mutating func `base keeps the base's tensors, and lists them`() async throws {
            let models = try writeResized()
            let (found, result) = try await merged("task_arithmetic", "mismatched_shapes: base")
            for name in [Self.embedding, Self.head] {
                #expect(try found.tensor(name).bytes == models["base"]?.first { $0.name == name }?.bytes)
            }
            #expect(
                (result.output + result.errors).contains(
                    "\"lm_head.weight\", \"model.embed_tokens.weight\" of task \"b\" have other shapes than in the base, "
                        + "whose tensors are kept (mismatched_shapes: base)."), "\(result)")
            let data = try Data(contentsOf: URL(fileURLWithPath: directory.appending("out/report.json")))
            let report = try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
            let copied = try #require((report["merge"] as? [String: Any])?["copied"] as? [String: [String]])
            #expect(copied["mismatched_shape"] == [Self.head, Self.embedding])
        }

        @Test mutating func `without the key, other shapes are an error that names it`() async throws {
            _ = try writeResized()
            let errors = try await refused("")
            #expect(
                errors.contains(
                    "of task \"a\" have 10 rows; the base has 8: the vocabulary was resized, or the head has other classes. "
                        + "Give both the same (model.resize_token_embeddings(8), if the further tokens are not used), or "
                        + "write \"mismatched_shapes: slice\" to merge the rows of the tokens that all models have, or "
                        + "\"mismatched_shapes: base\" to keep the base's."), "\(errors)")
        }

        @Test mutating func `rows of other tokens are not merged`() async throws {
            _ = try writeResized("other")
            let errors = try await refused("mismatched_shapes: slice")
            #expect(
                errors.contains(
                    "\"lm_head.weight\" of task \"a\" has 10 rows; the base has 8, and row 5 is \"other\" in its "
                        + "tokenizer.json but \"t5\" in the base's, so equal rows are not equal tokens. Merge models with one "
                        + "tokenizer, or write \"mismatched_shapes: base\" to keep the base's embedding and head."),
                "\(errors)")
            try FileManager.default.removeItem(atPath: directory.appending("a/tokenizer.json"))
            let without = try await refused("mismatched_shapes: slice")
            #expect(
                without.contains(
                    "and the model has no tokenizer.json, so nothing shows that equal rows are equal tokens. Put its "
                        + "tokenizer.json beside the weights, or write \"mismatched_shapes: base\" to keep the base's "
                        + "embedding and head."), "\(without)")
        }

        // MARK: - Heads

        private static let tied = #"{"model_type": "qwen3", "tie_word_embeddings": true}"#

        /// A model with a head of its own, or without one, as transformers saves a tied one.
        private mutating func model(isTied: Bool) -> Model {
            var model = Model(tensors: [tensor(Self.embedding, [5, Self.width])])
            if isTied {
                model.configuration = Self.tied
            } else {
                model.tensors.append(tensor(Self.head, [5, Self.width]))
            }
            return model
        }

        /// The head that transformers would use.
        private func loadedHead(_ model: Model) -> [Double] {
            (model.tensors.first { $0.name == Self.head } ?? model.tensors[0]).values
        }

        @Test(arguments: [[true, true, true], [true, false, true], [false, true, true], [false, true, false]])
        mutating func `the merged model's head is the merge of the heads that the models would load`(
            areTied: [Bool]
        ) async throws {
            let names = ["base", "a", "b"]
            let models = areTied.map { model(isTied: $0) }
            for (name, model) in zip(names, models) { try write(model, name) }
            let (found, _) = try await merged()
            let heads = models.map(loadedHead)
            let expected = heads[0].indices.map { heads[1][$0] + heads[2][$0] - heads[0][$0] }
            let text = try String(
                contentsOf: URL(fileURLWithPath: directory.appending("out/merged/config.json")), encoding: .utf8)
            let isTied = areTied.allSatisfy { $0 }
            #expect(
                text.contains(isTied ? "\"tie_word_embeddings\": true" : "\"tie_word_embeddings\": false"), "\(text)")
            #expect(found.tensors.contains { $0.name == Self.head } == !isTied)
            let loaded = (found.tensors.first { $0.name == Self.head } ?? found.tensors[0]).values
            #expect(relativeDistance(loaded, expected) < 1e-6)
        }

        @Test mutating func `a base that stores its head twice says that it is not tied where a model's differs`()
            async throws
        {
            var base = model(isTied: true)
            base.tensors.append(base.tensors[0].renamed(Self.head))
            try write(base, "base")
            try write(model(isTied: false), "a")
            try write(model(isTied: true), "b")
            let (_, result) = try await merged()
            let text = try String(
                contentsOf: URL(fileURLWithPath: directory.appending("out/merged/config.json")), encoding: .utf8)
            #expect(text.contains("\"tie_word_embeddings\": false"), "\(text)")
            #expect(
                (result.output + result.errors).contains(
                    "the model of task \"a\" has a \"lm_head.weight\" of its own, which the base ties to "
                        + "\"model.embed_tokens.weight\". The merged model has both, merged apart, and its config.json says "
                        + "\"tie_word_embeddings\": false."), "\(result)")
        }
    }
}
