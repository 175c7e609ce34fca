import NameMatching
import Testing

/// What files of models are, by their names.
@Suite struct ModelFileNameTests {
    @Test(arguments: [
        "config.json", "generation_config.json", "adapter_config.json", "quantize_config.json", "hf_quant_config.json",
        "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json",
        "vocab.txt", "merges.txt", "tokenizer.model", "spiece.model", "sentencepiece.bpe.model", "chat_template.jinja",
        "chat_template.json", "additional_chat_templates", "model.safetensors", "other.safetensors",
        "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model-00001-of-00002.bin", "adapter_model.bin",
        "tf_model.h5", "flax_model.msgpack", "consolidated.00.pth", "model.gguf",
    ])
    func `files that decide what a reader loads`(name: String) {
        #expect(ModelFileName.decidesLoading(name))
    }

    @Test(arguments: [
        "README.md", "report.json", "report.html", "mergekit_config.yml", "training_args.bin", "optimizer.pt",
        "trainer_state.json", "notes.txt", "model.py", "model-card.md", "LICENSE",
    ])
    func `files that do not`(name: String) {
        #expect(!ModelFileName.decidesLoading(name))
    }

    @Test func `a tokenizer's files decide, and every model that has them needs them`() {
        for name in ["tokenizer.json", "vocab.txt", "chat_template.jinja", "source.spm", "merges.txt"] {
            #expect(ModelFileName.isOfTokenizer(name) && ModelFileName.isOfEveryModel(name), "\(name)")
        }
        #expect(ModelFileName.isOfEveryModel("config.json") && !ModelFileName.isOfTokenizer("config.json"))
        #expect(!ModelFileName.isOfEveryModel("model.safetensors.index.json"))
        #expect(ModelFileName.isOfTemplates("additional_chat_templates/rag.jinja"))
    }

    @Test(arguments: ["tokenizer.json", "generation_config.json", "preprocessor_config.json"])
    func `files that transformers writes`(name: String) {
        #expect(ModelFileName.isOfTransformers(name))
        #expect(!ModelFileName.isOfTransformers("config.json") && !ModelFileName.isOfTransformers("report.json"))
    }
}
