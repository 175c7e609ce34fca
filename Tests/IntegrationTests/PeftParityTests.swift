import Foundation
import TestSupport
import Testing

extension Python {
    /// Whether it has PEFT and transformers.
    static let hasPeft = (try? run("import peft, transformers"))?.status == 0
}

extension SerialIntegrationTests {
    /// Merges adapters that PEFT saved, and lets PEFT load those that kfacd wrote.
    ///
    /// PEFT adds in fp32, so elements may differ by a few units of fp32 of the largest operand.
    @Suite(.enabled(if: Python.hasPeft, "needs Python with peft and transformers; KFACD_PYTHON names the interpreter"))
    struct PeftParityTests {
        /// Saves a model of one family and two adapters of it; the second has other settings in every respect.
        private static let models = """
            import os, sys, torch
            os.environ["HF_HUB_OFFLINE"] = "1"
            from peft import LoraConfig, PeftModel, get_peft_model
            from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM
            directory, family = sys.argv[1:]
            os.chdir(directory)
            torch.manual_seed(5)
            if family == "llama":
                config = LlamaConfig(vocab_size=24, hidden_size=16, intermediate_size=20, num_hidden_layers=2,
                    num_attention_heads=2, num_key_value_heads=1, tie_word_embeddings=False)
                kind, targets, other = LlamaForCausalLM, ["q_proj", "down_proj", "embed_tokens"], ["q_proj", "lm_head"]
                pattern = "layers.1.self_attn.q_proj"
            else:
                config = GPT2Config(vocab_size=24, n_positions=8, n_embd=16, n_layer=2, n_head=2,
                    bos_token_id=0, eos_token_id=0)
                kind, targets, other = GPT2LMHeadModel, ["c_attn", "c_proj", "wte"], ["c_attn", "c_fc"]
                pattern = "h.1.attn.c_attn"
            kind(config).save_pretrained("base")
            settings = dict(
                a=LoraConfig(r=2, lora_alpha=5, target_modules=targets, init_lora_weights=False),
                b=LoraConfig(r=3, lora_alpha=4, target_modules=other, rank_pattern={pattern: 1},
                    alpha_pattern={pattern: 7}, use_rslora=True, init_lora_weights=False))
            for name, setting in settings.items():
                adapted = get_peft_model(kind.from_pretrained("base"), setting)
                with torch.no_grad():
                    for key, value in adapted.named_parameters():
                        if "lora_" in key: value.mul_(0.2)
                adapted.save_pretrained(name)
            """

        /// Prints a line for each tensor of PEFT's merge that is not kfacd's.
        private static let comparison = """
            import os, sys, torch
            os.environ["HF_HUB_OFFLINE"] = "1"
            from peft import PeftModel
            from safetensors.torch import load_file
            from transformers import AutoModelForCausalLM
            os.chdir(sys.argv[1])
            base = AutoModelForCausalLM.from_pretrained("base", dtype=torch.float32).state_dict()
            for adapter, merged in (pair.split("=") for pair in sys.argv[2:]):
                model = AutoModelForCausalLM.from_pretrained("base", dtype=torch.float32)
                theirs = PeftModel.from_pretrained(model, adapter).merge_and_unload().state_dict()
                changed = 0
                for name, value in load_file(f"{merged}/model.safetensors").items():
                    size = max(value.abs().max(), base[name].abs().max())
                    if not torch.allclose(value, theirs[name], rtol=0, atol=float(size) * 1e-6):
                        print("differs:", adapter, name, float((value - theirs[name]).abs().max() / size))
                    changed += int((theirs[name] != base[name]).any())
                if changed < 3: print("differs:", adapter, "changes", changed)
            """

        @Test(arguments: ["llama", "gpt2"])
        func `adapters are read and written as PEFT means them`(family: String) async throws {
            let directory = try TemporaryDirectory()
            let made = try Python.run(Self.models, directory.path, family)
            try #require(made.status == 0, "\(made.output)")
            let both = "models: [{model: a, parameters: {weight: 0.7}}, {model: b, parameters: {weight: -0.4}}]\n"
            let jobs = [
                "one": "models: [{model: a}]\n", "other": "models: [{model: b}]\n", "full": both,
                "exact": "\(both)checkpoint: {form: lora, rank: exact}\n",
                "all": "\(both)checkpoint: {form: lora, rank: 16}\n",
                "read": "models: [{model: few/merged}]\n", "few": "\(both)checkpoint: {form: lora, rank: 2}\n",
            ]
            for name in jobs.keys.sorted() {
                let text = "merge_method: task_arithmetic\nbase_model: base\n\(jobs[name] ?? "")"
                try Data("\(text)dtype: float32\noutput: \(name)\n".utf8)
                    .write(to: URL(fileURLWithPath: directory.appending("\(name).yaml")))
                try await Client.runJob(directory.appending("\(name).yaml"), in: directory, options: ["--quiet"])
            }
            let pairs = ["a=one/merged", "b=other/merged"]
            let written = ["exact/merged=full/merged", "all/merged=full/merged", "few/merged=read/merged"]
            let differences = try Python.run(Self.comparison, [directory.path] + pairs + written)
            #expect(differences.status == 0, "\(differences.output)")
            // PEFT and transformers write progress and warnings too.
            #expect(differences.output.split(whereSeparator: \.isNewline).filter { $0.hasPrefix("differs:") } == [])
        }
    }
}
