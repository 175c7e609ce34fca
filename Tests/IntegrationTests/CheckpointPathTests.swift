import Foundation
import TestSupport
import Testing

extension SerialIntegrationTests {
    /// Paths that lead to no checkpoint; the error names the likely mistake and what to do.
    @Suite struct CheckpointPathTests {
        private let directory: TemporaryDirectory

        init() throws {
            directory = try TemporaryDirectory()
            try TensorFile([Tensor("w", [2], [1, 2])]).write(to: directory.appending("b/model.safetensors"))
        }

        private func write(_ path: String, _ bytes: [UInt8]) throws {
            let url = URL(fileURLWithPath: directory.appending(path))
            try FileManager.default.createDirectory(
                at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
            try Data(bytes).write(to: url)
        }

        private func problems(of model: String) async throws -> String {
            let text =
                "merge_method: task_arithmetic\nbase_model: b\nmodels:\n- {model: '\(model)', name: a}\noutput: out\n"
            try write("job.yaml", Array(text.utf8))
            let result = try await Client.run(
                ["plan", directory.appending("job.yaml")], in: directory)
            #expect(result.exitCode == 2)
            return result.errors
        }

        @Test(arguments: [
            (
                "mistralai/Mistral-7B-v0.1",
                "If it is a model of the Hugging Face Hub, download it first: hf download mistralai/Mistral-7B-v0.1 "
                    + "--local-dir mistralai/Mistral-7B-v0.1."
            ),
            ("org/name@main", "hf download org/name --revision main --local-dir DIRECTORY."),
            ("~/models/a", "\"~\" is not replaced by the home directory. Write the whole path."),
            (
                "models/a+lora",
                "\"+lora\" names an adapter in mergekit: a directory with adapter_config.json and "
                    + "adapter_model.safetensors, which is not there. Correct the path;"
            ),
            ("b + models/a", "Spaces beside the \"+\" are part of the paths. Write \"b+models/a\"."),
            (
                "b+one+two",
                "mergekit's spelling model+adapter has one \"+\". Merge the first adapter into its model "
                    + "(model.merge_and_unload(), then model.save_pretrained()), or give each adapter an entry of its own."
            ),
            (
                "https://huggingface.co/org/name",
                "is a URL; expected a file or a directory. Download the model first (hf download org/name --local-dir "
                    + "DIRECTORY), and name where it is."
            ),
            ("s3://bucket/name", "is a URL; expected a file or a directory. Download the model first, and name"),
            ("hf://org/name", "(hf download org/name --local-dir DIRECTORY)"),
            ("./c", "No such file or directory. Did you mean \"b\"?"),
            ("far/away/model", "Correct the path; relative paths start at the job file's directory."),
        ])
        func `a text that is no path is told what it is`(model: String, sentence: String) async throws {
            let found = try await problems(of: model)
            #expect(found.contains(sentence), "\(found)")
            #expect(found.split(separator: "\n").count == 1, "\(found)")
        }

        @Test func `a first model that gives the layout is named as what it is, once`() async throws {
            let text = "merge_method: linear\nmodels:\n- {model: c}\n- {model: b}\noutput: out\n"
            try write("job.yaml", Array(text.utf8))
            let result = try await Client.run(["plan", directory.appending("job.yaml")], in: directory)
            #expect(result.exitCode == 2)
            #expect(result.errors.contains("job.yaml:3:11 (model): "), "\(result.errors)")
            #expect(!result.errors.contains("base_model"), "\(result.errors)")
            #expect(result.errors.split(separator: "\n").count == 1, "\(result.errors)")
        }

        @Test func `a configuration that is no object is a notice with what it is`() async throws {
            try TensorFile([Tensor("w", [2], [1, 3])]).write(to: directory.appending("a/model.safetensors"))
            try write("a/config.json", Array("[1]".utf8))
            try write(
                "job.yaml",
                Array("merge_method: linear\nbase_model: b\nmodels: [{model: a}]\noutput: out\n".utf8))
            let result = try await Client.run(["plan", directory.appending("job.yaml")], in: directory)
            #expect(result.exitCode == 0, "\(result.errors)")
            let sentence = "a/config.json: is a list; expected an object of keys and values, as transformers writes it."
            #expect(result.errors.contains(sentence), "\(result.errors)")
        }

        @Test(arguments: ["pytorch_model.bin", "model.pt", "model.gguf", "model.npz", "model.ckpt"])
        func `a directory of other weights says how to convert them`(name: String) async throws {
            try write("a/\(name)", [1, 2, 3])
            let found = try await problems(of: "a")
            #expect(found.contains("a: holds \"\(name)\" and no safetensors file. "), "\(found)")
        }

        @Test(
            arguments: [
                ([0x50, 0x4B, 0x03, 0x04, 0, 0, 0, 0, 0, 0], "is a ZIP archive, as torch.save"),
                ([0x80, 0x02, 0x8A, 0x0A, 0x6C, 0xFC, 0x9C, 0x46, 0xF9], "is a pickle, as old versions of torch.save"),
                (Array("GGUF".utf8) + [3, 0, 0, 0, 1], "is a GGUF file of llama.cpp"),
                (Array("<!DOCTYPE html><html>".utf8), "is a web page, as a failed download leaves it"),
                ([], "is empty; expected a safetensors file."),
                (
                    Array("version https://git-lfs.github.com/spec/v1\nsize 99\n".utf8),
                    "is a git-LFS pointer to 99 bytes"
                ),
            ] as [([UInt8], String)])
        func `a file of another kind is told what it is`(bytes: [UInt8], sentence: String) async throws {
            try write("a/model.safetensors", bytes)
            let found = try await problems(of: "a")
            #expect(found.contains("a/model.safetensors: \(sentence)"), "\(found)")
        }

        @Test func `an adapter, a cache and a dangling link are told what they are`() async throws {
            try write("a/adapter_config.json", Array("{}".utf8))
            #expect(
                try await problems(of: "a").contains("a/adapter_config.json: \"peft_type\" is null; expected \"LORA\".")
            )
            try write("a/adapter_config.json", Array("{\"peft_type\": \"LORA\"}".utf8))
            let alone = try await problems(of: "a")
            let start = "a: has adapter_config.json and no adapter_model.safetensors"
            #expect(alone.contains("\(start). Copy or download the adapter whole."), "\(alone)")
            try write("a/adapter_model.bin", [1])
            let conversion =
                "Load the adapter with PEFT (PeftModel.from_pretrained) and save it again (save_pretrained): that writes "
                + "adapter_model.safetensors."
            let pickled = try await problems(of: "a")
            #expect(pickled.contains("\(start), but adapter_model.bin. \(conversion)"), "\(pickled)")
            let file = try await problems(of: "a/adapter_model.bin")
            #expect(file.contains("a/adapter_model.bin: is no safetensors file. \(conversion)"), "\(file)")
            let job = "merge_method: task_arithmetic\nbase_model: a\nmodels: [{model: b}]\noutput: out\n"
            try write("job.yaml", Array(job.utf8))
            let asBase = try await Client.run(["plan", directory.appending("job.yaml")], in: directory)
            #expect(asBase.errors.contains("is an adapter (adapter_config.json), not a model"), "\(asBase.errors)")
            try write("hub/models--org--m/snapshots/0a/x", [])
            let cached = try await problems(of: "hub/models--org--m")
            #expect(cached.contains("Name one of its snapshots: "), "\(cached)")
            #expect(cached.contains("hub/models--org--m/snapshots/0a"), "\(cached)")
            #expect(try await problems(of: "hub").contains("is the cache of the Hugging Face Hub."))
            try FileManager.default.createSymbolicLink(
                atPath: directory.appending("link"), withDestinationPath: "gone/model.safetensors")
            #expect(
                try await problems(of: "link").contains("is a link to gone/model.safetensors, which does not exist."))
        }

        @Test func `what is no regular file is told`() async throws {
            #expect(mkfifo(directory.appending("pipe"), 0o600) == 0)
            #expect(try await problems(of: "pipe").contains("is a pipe, not a regular file"))
            #expect(try await problems(of: "/dev/null").contains("is a device, not a regular file"))
        }

        @Test func `a head that is the embedding is merged with it, on either side`() async throws {
            let embedding: [Float] = [1, 2, 3, 4]
            let moved = embedding.map { $0 + 1 }
            let alone = { (values: [Float]) in TensorFile([Tensor("embed.weight", [2, 2], values)]) }
            let both = { (values: [Float]) in
                TensorFile([Tensor("embed.weight", [2, 2], values), Tensor("lm_head.weight", [2, 2], values)])
            }
            let text = "merge_method: task_arithmetic\nbase_model: b\nmodels: [{model: a}]\noutput: out\n"
            try write("job.yaml", Array(text.utf8))
            for (base, own) in [(alone(embedding), both(moved)), (both(embedding), alone(moved))] {
                try base.write(to: directory.appending("b/model.safetensors"))
                try own.write(to: directory.appending("a/model.safetensors"))
                let result = try await Client.runJob(
                    directory.appending("job.yaml"), in: directory, options: ["--quiet", "--overwrite"])
                #expect(result.errors.contains("note: "))
                let merged = try TensorFile(reading: directory.appending("out/merged/model.safetensors"))
                #expect(merged.tensors.map(\.name).sorted() == base.tensors.map(\.name).sorted())
                for tensor in merged.tensors { #expect(tensor.values == moved.map(Double.init)) }
            }
            // The heads were trained apart, so neither side's head may be dropped silently.
            try alone(embedding).write(to: directory.appending("b/model.safetensors"))
            try TensorFile([
                Tensor("embed.weight", [2, 2], moved), Tensor("lm_head.weight", [2, 2], embedding),
            ]).write(to: directory.appending("a/model.safetensors"))
            #expect(try await problems(of: "a").contains("this checkpoint has trained it apart."))
        }
    }
}
