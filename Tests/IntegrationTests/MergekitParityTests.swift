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
    /// task_arithmetic and linear, kfacd computes in fp32, under multislerp mergekit adds 1e-8 to norms, and under
    /// ramplus_tl its factor is fp32. Those differ by a few units of fp32 of the operands.
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
            for name in sorted(os.listdir("configurations")):
                text = open(f"configurations/{name}").read()
                run_merge(MergeConfiguration.model_validate(yaml.safe_load(text)), f"theirs/{name}",
                    MergeOptions(copy_tokenizer=False, quiet=True, write_model_card=False))
            """

        /// Prints a line for each configuration with elements that differ by more than one unit of the result, and of
        /// the operands where kfacd sums in fp32.
        private static let comparison = """
            import os, sys, torch
            from safetensors.torch import load_file
            os.chdir(sys.argv[1])
            operands = [load_file(f"{model}/model.safetensors") for model in ("base", "a", "b", "c")]
            for configuration in sorted(os.listdir("configurations")):
                theirs, ours = (load_file(f"{path}/model.safetensors")
                    for path in (f"theirs/{configuration}", f"ours/{configuration}/merged"))
                assert theirs.keys() == ours.keys()
                sums_in_float32 = ("task_arithmetic", "linear", "multislerp", "ramplus_tl")
                slack = 2 if configuration.startswith(sums_in_float32) else 0
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
                if wrong: print(f"{configuration}: {wrong} elements differ")
            """

        private static let weighted = """
            models:
            - {model: a, parameters: {weight: 0.5, density: 0.4, gamma: 0.15}}
            - {model: b, parameters: {weight: 0.3, density: 0.7, gamma: 0.2}}
            - {model: c, parameters: {weight: 0.9, density: 0.55, gamma: 0.15}}

            """
        private static let base = "base_model: base\n"
        private static let pair =
            "models: [{model: a, parameters: {weight: 0.4}}, {model: b, parameters: {weight: 0.8}}]\n"
        private static let unweighted = "models: [{model: a}, {model: b}, {model: c}]\n"

        /// Slices of one layer each and of all, with parameters on every level.
        private static let slices = """
            slices:
            - sources:
              - {model: base, layer_range: [0, 1]}
              - {model: a, layer_range: [0, 1], parameters: {weight: [0.2, 0.6], density: 0.4}}
              - {model: b, layer_range: [0, 1]}
              parameters: {weight: [{filter: mlp, value: 0.3}], density: 0.8}
            - sources:
              - {model: base, layer_range: [1, 2]}
              - {model: a, layer_range: [1, 2]}
              - {model: b, layer_range: [1, 2], parameters: {weight: 1.25}}
              parameters: {density: 0.6}
            parameters: {weight: 0.7, density: 0.9}

            """
        private static let wholeSlice = """
            slices:
            - sources: [{model: base, layer_range: [0, 2]}, {model: a, layer_range: [0, 2]}]
            parameters: {t: [{filter: mlp, value: [0.1, 0.9]}, {filter: self_attn, value: 0.3}, {value: [0.2, 0.8]}]}

            """

        private static let configurations = [
            "task_arithmetic in slices": base + slices, "ties in slices": base + slices,
            "linear in slices": slices, "breadcrumbs in slices": base + slices,
            "slerp in one slice": base + wholeSlice,
            "dare_ties in a module": base
                + "modules: {default: {models: [{model: a}, {model: b}], parameters: {weight: 0.6}}}\n"
                + "parameters: {weight: 0.2}\n",
            "task_arithmetic": base + weighted + "parameters: {lambda: 0.7}\n",
            "linear": weighted,
            "ties": base + weighted + "parameters: {lambda: 0.7}\n",
            "ties not divided, rescaled": base + weighted + "parameters: {normalize: false, rescale: true}\n",
            "breadcrumbs": base + weighted, "breadcrumbs_ties": base + weighted + "parameters: {lambda: 0.7}\n",
            "dare_ties at density 1": base
                + "models: [{model: a}, {model: b}, {model: c}]\nparameters: {weight: 0.4}\n",
            "model_stock": base + unweighted,
            "model_stock by rows": base + unweighted + "parameters: {filter_wise: true}\n",
            "nuslerp": pair,
            "nuslerp around a base": base + pair,
            "nuslerp around a listed base": base
                + "models: [{model: base}, {model: a, parameters: {weight: 0.4}}, {model: b, parameters: {weight: 0.8}}]\n",
            "multislerp around a listed base": base
                + "models: [{model: base}, {model: a}, {model: b}, {model: c}]\nparameters: {weight: 0.5}\n",
            "nuslerp by columns": pair
                + "parameters: {nuslerp_flatten: false, nuslerp_row_wise: true}\n",
            "karcher": unweighted, "karcher with a base": base + unweighted,
            "multislerp": weighted, "multislerp around a base": base + weighted,
            "nearswap": base + "models: [{model: base}, {model: a}]\nparameters: {t: 0.1}\n",
            "arcee_fusion": base + "models: [{model: base}, {model: a}]\n",
            "ram": base + unweighted + "parameters: {epsilon: 0.3}\n",
            "ramplus_tl": base + unweighted + "parameters: {epsilon: 0.3, r: 0.4, alpha: 0.9}\n",
            "sce": base + unweighted + "parameters: {select_topk: 0.3}\n",
            "slerp": base
                + "models: [{model: base}, {model: a}]\nparameters: {t: [{filter: mlp, value: 0.3}, {value: 0.7}]}\n",
        ]

        @Test(arguments: ["float32", "bfloat16"])
        func `merges are mergekit's`(type: String) async throws {
            let directory = try TemporaryDirectory()
            let manager = FileManager.default
            for part in ["configurations", "ours"] {
                try manager.createDirectory(atPath: directory.appending(part), withIntermediateDirectories: false)
            }
            for (name, rest) in Self.configurations {
                let method = try #require(name.split(separator: " ").first)
                let text = "merge_method: \(method)\n\(rest)"
                try Data("\(text)dtype: float64\nout_dtype: \(type)\n".utf8)
                    .write(to: URL(fileURLWithPath: directory.appending("configurations/\(name)")))
                try Data("\(text)dtype: \(type)\noutput: ours/\(name)\n".utf8)
                    .write(to: URL(fileURLWithPath: directory.appending("\(name).yaml")))
            }
            let merged = try Python.run("\(Self.tensors)\n\(Self.merge)", directory.path)
            try #require(merged.status == 0, "\(merged.output)")
            for name in Self.configurations.keys.sorted() {
                try await Client.runJob(directory.appending("\(name).yaml"), in: directory, options: ["--quiet"])
            }
            let differences = try Python.run(Self.comparison, directory.path).output
            #expect(differences == "")
        }
    }
}
