import Foundation
import TestSupport
import Testing

extension SerialIntegrationTests {
    /// `kfacctl merge`, with configurations as `mergekit-yaml` takes them.
    @Suite struct MergeCommandTests {
        private let directory: TemporaryDirectory
        private static let configuration = """
            # Halfway between both models.
            models:
              - model: org/first
                parameters: {weight: 1.0}
              - model: org/second
                parameters: {weight: 1.0}
            merge_method: task_arithmetic
            base_model: org/base
            parameters: {normalize: true}
            dtype: bfloat16
            """

        init() throws {
            directory = try TemporaryDirectory()
            for (name, value) in [("base", 1), ("first", 2), ("second", 4)] as [(String, Float)] {
                let tensors = ["a.weight", "b.weight", "c.weight"].map {
                    Tensor($0, [4], [value, value, value, value])
                }
                try TensorFile(tensors).write(to: directory.appending("org/\(name)/model.safetensors"))
                try write("{\"model_type\": \"llama\", \"dtype\": \"float32\"}", to: "org/\(name)/config.json")
                for file in ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"] {
                    try write("{}", to: "org/\(name)/\(file)")
                }
                try write("{}", to: "org/\(name)/report.json")
            }
            try write(Self.configuration, to: "configs/config.yaml")
        }

        private func write(_ text: String, to name: String) throws {
            let file = URL(fileURLWithPath: directory.appending(name))
            try FileManager.default.createDirectory(
                at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
            try Data(text.utf8).write(to: file)
        }

        private func text(_ name: String) throws -> String {
            String(decoding: try directory.read(name), as: UTF8.self)
        }

        private func merge(_ arguments: [String]) async throws -> CommandResult {
            try await Client.run(
                ["merge"] + arguments + ["--workers", "1", "--state-directory", directory.path], in: directory,
                launcher: ["/usr/bin/env", "-C", directory.path])
        }

        private func files(_ name: String = "out") -> [String] {
            let names = (try? FileManager.default.contentsOfDirectory(atPath: directory.appending(name))) ?? []
            return names.filter { !$0.hasPrefix(".kfacd-") }.sorted()
        }

        /// What the report says of inputs: "sha256" of contents, or only "header_sha256".
        private func digests(_ name: String) throws -> [String] {
            let report = try text("\(name)/report.json")
            return ["sha256", "header_sha256"].filter { report.contains("\"\($0)\"") }
        }

        @Test func `a merge without a base runs, and names inputs by their headers unless it is told otherwise`()
            async throws
        {
            let models = """
                merge_method: linear
                models:
                  - {model: org/first, parameters: {weight: 1}}
                  - {model: org/second, parameters: {weight: 1}}
                dtype: float32

                """
            try write("# Not yet: input_digests.\n" + models, to: "plain.yaml")
            try write(models + "kfac: {input_digests: content}\n", to: "content.yaml")
            for (arguments, expected) in [
                (["plain.yaml", "a"], ["header_sha256"]), (["content.yaml", "b"], ["sha256", "header_sha256"]),
                (["content.yaml", "c", "--input-digests", "header"], ["header_sha256"]),
                (["plain.yaml", "d", "--input-digests", "content"], ["sha256", "header_sha256"]),
            ] {
                let result = try await merge(arguments)
                #expect(result.exitCode == 0, "\(result.errors)")
                #expect(try digests(arguments[1]) == expected, "\(arguments)")
            }
            let merged = try TensorFile(reading: directory.appending("a/model.safetensors"))
            for tensor in merged.tensors { #expect(tensor.values == [3, 3, 3, 3]) }
        }

        @Test(arguments: [[], ["yaml"]]) func `the output is a model as mergekit writes it`(word: [String]) async throws
        {
            let result = try await merge(word + ["configs/config.yaml", "out"])
            #expect(result.exitCode == 0, "\(result.errors)")
            #expect(
                files() == [
                    "README.md", "config.json", "mergekit_config.yml", "model.safetensors", "report.html",
                    "report.json", "special_tokens_map.json", "tokenizer.json", "tokenizer_config.json",
                ])
            let merged = try TensorFile(reading: directory.appending("out/model.safetensors"))
            // 1 + (1 + 3) / 2
            for tensor in merged.tensors { #expect(tensor.values == [3, 3, 3, 3]) }
            #expect(merged.tensors.allSatisfy { $0.elementType == .bfloat16 })
            let config = try #require(
                try JSONSerialization.jsonObject(with: Data(try directory.read("out/config.json"))) as? [String: String]
            )
            #expect(config == ["model_type": "llama", "dtype": "bfloat16"])
            #expect(try text("out/mergekit_config.yml") == Self.configuration + "\n")
            let card = try text("out/README.md")
            #expect(
                card.hasPrefix(
                    """
                    ---
                    base_model:
                    - 'org/base'
                    - 'org/first'
                    - 'org/second'
                    library_name: transformers
                    tags:
                    - kfacd
                    - merge
                    ---
                    # out

                    """))
            #expect(card.contains("[task_arithmetic](https://arxiv.org/abs/2212.04089), with org/base as the base."))
            #expect(card.contains("\n* org/first\n* org/second\n"))
            #expect(card.contains("```yaml\n\(Self.configuration)\n```\n"))
            #expect(result.output.contains("merged checkpoint: 3 tensors changed"))
        }

        @Test func `an adapter has the card of PEFT`() async throws {
            for (name, value) in [("base", 1), ("first", 2), ("second", 4)] as [(String, Float)] {
                try TensorFile([Tensor("a.weight", [2, 2], [value, 1, 1, value])])
                    .write(to: directory.appending("org/\(name)/model.safetensors"))
            }
            // The Hub's cache.
            let snapshot = "models--org--base/snapshots/abc"
            try TensorFile([Tensor("a.weight", [2, 2], [1, 1, 1, 1])])
                .write(to: directory.appending("\(snapshot)/model.safetensors"))
            let known = Self.configuration.replacing("base_model: org/base", with: "base_model: \(snapshot)")
            try write(known + "\ncheckpoint: {form: lora, rank: 2}\n", to: "lora.yaml")
            let result = try await merge(["lora.yaml", "out", "--quiet"])
            #expect(result.exitCode == 0, "\(result.errors)")
            #expect(
                files() == [
                    "README.md", "adapter_config.json", "adapter_model.safetensors", "mergekit_config.yml",
                    "report.html", "report.json",
                ])
            let card = try text("out/README.md")
            #expect(
                card.hasPrefix(
                    """
                    ---
                    base_model: 'org/base'
                    library_name: peft
                    tags:
                    - 'base_model:adapter:org/base'
                    - lora
                    - kfacd
                    - merge
                    ---
                    # out

                    This is a LoRA adapter, a merge of pre-trained models, made with kfacd.

                    """))
            #expect(card.contains("\n* org/first\n* org/second\n"))
            // A path of this machine says nothing on the Hub.
            try write(Self.configuration + "\ncheckpoint: {form: lora, rank: 2}\n", to: "local.yaml")
            #expect(try await merge(["local.yaml", "local", "--quiet"]).exitCode == 0)
            let front = "---\nlibrary_name: peft\ntags:\n- lora\n- kfacd\n- merge\n---\n"
            #expect(try text("local/README.md").hasPrefix(front))
            let options = ["local.yaml", "without", "--quiet", "--no-write-model-card"]
            #expect(try await merge(options).exitCode == 0)
            #expect(!files("without").contains("README.md"))
        }

        @Test func `options choose the files, and a merge replaces only an earlier one`() async throws {
            let options = [
                "--no-copy-tokenizer", "--no-write-model-card", "--out-shard-size", "8", "--random-seed", "7",
            ]
            let result = try await merge(["configs/config.yaml", "out", "--quiet"] + options)
            #expect(result.exitCode == 0, "\(result.errors)")
            #expect(result.errors.contains("--random-seed has no effect"))
            let shards = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
            #expect(
                files() == ["config.json", "mergekit_config.yml"] + shards + [
                    "model.safetensors.index.json", "report.html", "report.json",
                ])
            #expect(try TensorFile(reading: directory.appending("out/\(shards[0])")).tensors.count == 2)
            let again = ["configs/config.yaml", "out", "--quiet"]
            #expect(try await merge(again).exitCode == 2)
            #expect(try await merge(again + ["--overwrite"]).exitCode == 0)
            #expect(files().count == 9 && files().contains("model.safetensors") && !files().contains(shards[0]))
            try write("mine", to: "other/README.md")
            let refused = try await merge(["configs/config.yaml", "other", "--quiet", "--overwrite"])
            #expect(refused.exitCode == 2, "\(refused.errors)")
            #expect(refused.errors.contains("README.md"))
            #expect(try text("other/README.md") == "mine" && files("other") == ["README.md"])
        }

        @Test func `a dry run says what the merge takes and writes nothing`() async throws {
            let result = try await merge(["configs/config.yaml", "out", "--dry-run"])
            #expect(result.exitCode == 0, "\(result.errors)")
            #expect(result.output.contains("STAGE"))
            #expect(!FileManager.default.fileExists(atPath: directory.appending("out")))
        }

        @Test(arguments: [
            ("slices: [{sources: [{model: org/first, layer_range: [0, 1]}]}]", "\"slices\" stands beside"),
            ("modules: {text: {models: []}}", "\"modules\" stands beside"),
            ("chat_template: auto", "\"chat_template\" is not supported"),
            ("tokenizer: {tokens: {x: {}}}", "\"tokens\" is not supported"),
            ("tokenizer_source: other", "\"tokenizer_source\" is \"other\""),
            ("out_dtype: float8", "\"out_dtype\" must be"),
        ]) func `what is not offered is refused by name and line`(line: String, message: String) async throws {
            try write(Self.configuration + "\n" + line + "\n", to: "config.yaml")
            let result = try await merge(["config.yaml", "out"])
            #expect(result.exitCode == 2)
            let place = result.errors.split(separator: "\n").first { $0.contains(message) }
            #expect(place?.contains("config.yaml:11:") == true, "\(result.errors)")
            #expect(!FileManager.default.fileExists(atPath: directory.appending("out")))
        }

        @Test(arguments: [["config.yaml"], ["config.yaml", "out", "--out-shard-size", "5G"], ["a", "b", "c"]])
        func `wrong arguments are told`(arguments: [String]) async throws {
            let result = try await merge(arguments)
            #expect(result.exitCode == 2)
            #expect(
                result.errors.contains("expected a configuration") || result.errors.contains("--out-shard-size must"))
        }

        @Test func `the command and the methods both have help`() async throws {
            let methods = try await Client.run(["help", "merge"], in: directory)
            #expect(methods.output.contains("task_arithmetic") && methods.output.contains("kfacctl merge --help"))
            let command = try await Client.run(["merge", "--help"], in: directory)
            #expect(command.output.contains("kfacctl merge [yaml] CONFIG OUT"))
            #expect(command.output.contains("help merge"))
        }
    }
}
