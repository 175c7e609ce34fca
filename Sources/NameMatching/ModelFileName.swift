/// What a file in a model's directory is, by its name alone.
///
/// Source: the files that Hugging Face transformers, PEFT and mergekit write and load.
public enum ModelFileName {
    /// Whole names of tokenizer files that are not JSON.
    private static let tokenizerFiles: Set<String> = [
        "chat_template.jinja", "merges.txt", "sentencepiece.bpe.model", "spiece.model", "tokenizer.model", "vocab.txt",
    ]
    private static let tokenizerEndings = [".tiktoken", ".model", ".spm", ".jinja", ".vocab", ".bpe"]
    private static let tokenizerStems: Set<String> = ["vocab", "merges", "dict", "added_tokens", "special_tokens_map"]
    private static let templateDirectory = "additional_chat_templates"
    /// Configurations beside `config.json` that transformers writes.
    private static let otherConfigurations: Set<String> = [
        "generation_config.json", "preprocessor_config.json", "processor_config.json",
    ]
    /// Configurations by which readers load weights in another way.
    private static let decidingConfigurations: Set<String> = [
        "adapter_config.json", "config.json", "generation_config.json", "hf_quant_config.json", "quantize_config.json",
    ]
    private static let trainingStems: Set<String> = [
        "optimizer", "scheduler", "scaler", "trainer_state", "training_args", "random_states",
    ]
    private static let trainingPrefixes = ["rng_state", "random_states_", "checkpoint-", "global_step", "events.out."]
    private static let weightEndings = [
        ".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".h5", ".msgpack", ".onnx", ".gguf", ".npz", ".index.json",
    ]
    /// Beginnings of the names under which readers look for weights.
    private static let weightPrefixes = [
        "adapter_model.", "consolidated.", "flax_model", "model.", "model-", "pytorch_model", "tf_model",
    ]

    /// Whether every model that has such a file needs it, such as configuration and tokenizer files.
    public static func isOfEveryModel(_ name: String) -> Bool {
        // An output of ours may be a base, and its report tells of another merge.
        guard !isTrainingState(name), name != "report.json" else { return false }
        if name.hasSuffix(".json") { return !name.hasSuffix(".index.json") }
        return tokenizerFiles.contains(name) || tokenizerEndings.contains { name.hasSuffix($0) }
            || (name.hasSuffix(".txt") && tokenizerStems.contains(stem(name)))
    }

    /// Whether the file, or what a path lies in, belongs to a tokenizer.
    public static func isOfTokenizer(_ name: String) -> Bool {
        if name.hasSuffix(".json") {
            let stem = stem(name)
            return stem.hasPrefix("tokenizer") || stem == "chat_template" || tokenizerStems.contains(stem)
        }
        return isOfEveryModel(name) || isOfTemplates(name)
    }

    /// Whether it is the directory of a tokenizer's further templates, or lies in it.
    public static func isOfTemplates(_ path: String) -> Bool {
        path == templateDirectory || path.hasPrefix("\(templateDirectory)/")
    }

    /// Whether the file is left over from training: optimizers, schedules, seeds, intermediate checkpoints.
    public static func isTrainingState(_ name: String) -> Bool {
        // A plain `scheduler` is a part of some models.
        (name.contains(".") && trainingStems.contains(stem(name)))
            || trainingPrefixes.contains { name.hasPrefix($0) }
    }

    /// Whether the file holds weights, which are merged or are in another format.
    public static func isWeights(_ name: String) -> Bool { weightEndings.contains { name.hasSuffix($0) } }

    /// Whether `save_pretrained` of transformers writes such a file beside the weights and `config.json`.
    public static func isOfTransformers(_ name: String) -> Bool {
        otherConfigurations.contains(name) || (name.hasSuffix(".json") && isOfTokenizer(name))
    }

    /// Whether a file beside a model's weights could make readers load other weights, or the same ones in another way.
    public static func decidesLoading(_ name: String) -> Bool {
        decidingConfigurations.contains(name) || isOfTokenizer(name) || name.hasSuffix(".safetensors")
            || name.hasSuffix(".index.json") || (isWeights(name) && weightPrefixes.contains(where: name.hasPrefix))
    }

    private static func stem(_ name: String) -> String { String(name.prefix { $0 != "." }) }
}
