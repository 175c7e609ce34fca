import Foundation
import TestSupport
import Testing

extension Python {
    /// Whether it has mergekit.
    static let hasMergekit = (try? run("import mergekit"))?.status == 0
}

extension SerialIntegrationTests {
    /// Runs mergekit and kfacd on the same configurations and checkpoints, and compares every element.
    ///
    /// mergekit computes in fp64 and rounds once, so the results may differ by one unit in the last place. Under
    /// task_arithmetic and linear, kfacd computes in fp32. Its sums differ by a few units of the largest operand.
    @Suite(.enabled(if: Python.hasMergekit, "needs Python with mergekit; KFACD_PYTHON names the interpreter"))
    struct MergekitParityTests {
        private static let tensors = """
            import json, os, sys, torch
            from safetensors.torch import save_file
            directory = sys.argv[1]
            width, inner, words = 8, 16, 24
            config = dict(architectures=["LlamaForCausalLM"], model_type="llama", vocab_size=words, hidden_size=width,
                intermediate_size=inner, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=2,
                tie_word_embeddings=False)
            shapes = {"model.embed_tokens.weight": (words, width), "model.norm.weight": (width,),
                "lm_head.weight": (words, width)}
            for layer in range(2):
                start = f"model.layers.{layer}."
                for name in "qkvo": shapes[start + f"self_attn.{name}_proj.weight"] = (width, width)
                for name in ("gate", "up"): shapes[start + f"mlp.{name}_proj.weight"] = (inner, width)
                shapes[start + "mlp.down_proj.weight"] = (width, inner)
                for name in ("input", "post_attention"): shapes[start + f"{name}_layernorm.weight"] = (width,)
            generator = torch.Generator().manual_seed(7)
            base = {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}
            for model in ["base", "a", "b", "c"]:
                values = {name: value + (model != "base") * 0.3 * torch.randn(value.shape, generator=generator)
                    for name, value in base.items()}
                os.makedirs(f"{directory}/{model}")
                save_file(values, f"{directory}/{model}/model.safetensors", metadata={"format": "pt"})
                json.dump(config, open(f"{directory}/{model}/config.json", "w"))
            """

        private static let merge = """
            import os, sys, yaml
            os.environ["HF_HUB_OFFLINE"] = "1"
            os.chdir(sys.argv[1])
            from mergekit.config import MergeConfiguration
            from mergekit.merge import run_merge
            from mergekit.options import MergeOptions
            run_merge(MergeConfiguration.model_validate(yaml.safe_load(open("mergekit.yaml"))), "theirs",
                MergeOptions(copy_tokenizer=False, quiet=True, write_model_card=False))
            """

        /// Prints the number of elements that differ by more than one unit of the result and `slack` units of fp32 of
        /// the operands.
        private static let comparison = """
            import sys, torch
            from safetensors.torch import load_file
            directory, slack = sys.argv[1], float(sys.argv[2])
            theirs, ours = (load_file(f"{directory}/{path}/model.safetensors") for path in ("theirs", "out/merged"))
            assert theirs.keys() == ours.keys()
            operands = [load_file(f"{directory}/{model}/model.safetensors") for model in ("base", "a", "b", "c")]
            wrong = 0
            for name, expected in theirs.items():
                found = ours[name]
                assert found.dtype == expected.dtype and found.shape == expected.shape
                found, unit = found.double(), torch.finfo(expected.dtype).eps
                expected = expected.double()
                size = torch.maximum(found.abs(), expected.abs())
                allowed = unit * 2.0 ** torch.floor(torch.log2(size.clamp(min=1e-30)))
                allowed += slack * 2 ** -23 * sum(values[name].double().abs() for values in operands)
                wrong += int(((found - expected).abs() > allowed).sum())
            print(wrong)
            """

        private static let weighted = """
            models:
            - {model: a, parameters: {weight: 0.5, density: 0.4, gamma: 0.15}}
            - {model: b, parameters: {weight: 0.3, density: 0.7, gamma: 0.2}}
            - {model: c, parameters: {weight: 0.9, density: 0.55, gamma: 0.15}}

            """
        private static let base = "base_model: base\n"

        private static let configurations = [
            "task_arithmetic": base + weighted + "parameters: {lambda: 0.7}\n",
            "linear": weighted,
            "ties": base + weighted + "parameters: {lambda: 0.7}\n",
            "ties not divided, rescaled": base + weighted + "parameters: {normalize: false, rescale: true}\n",
            "breadcrumbs": base + weighted, "breadcrumbs_ties": base + weighted + "parameters: {lambda: 0.7}\n",
            "dare_ties at density 1": base
                + "models: [{model: a}, {model: b}, {model: c}]\nparameters: {weight: 0.4}\n",
            "slerp": base + "models: [{model: base}, {model: a}]\nparameters: {t: [0, 0.3, 0.7]}\n",
        ]

        @Test(arguments: configurations.keys.sorted(), ["float32", "bfloat16"])
        func `a merge is mergekit's`(name: String, type: String) async throws {
            let directory = try TemporaryDirectory()
            let method = try #require(name.split(separator: " ").first)
            let configuration = try #require(Self.configurations[name])
            let text = "merge_method: \(method)\n" + configuration
            let job = directory.appending("job.yaml")
            try Data("\(text)dtype: \(type)\noutput: out\n".utf8).write(to: URL(fileURLWithPath: job))
            try Data("\(text)dtype: float64\nout_dtype: \(type)\n".utf8)
                .write(to: URL(fileURLWithPath: directory.appending("mergekit.yaml")))
            let merged = try Python.run("\(Self.tensors)\n\(Self.merge)", directory.path)
            try #require(merged.status == 0, "\(merged.output)")
            try await Client.runJob(job, in: directory, options: ["--quiet"])
            let slack = ["task_arithmetic", "linear"].contains(method) ? "2" : "0"
            let result = try Python.run(Self.comparison, directory.path, slack)
            #expect(result.output == "0\n")
        }
    }
}
