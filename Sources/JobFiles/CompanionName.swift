/// Classifies a file of a model by its name alone.
enum CompanionName {
    /// Whole names of tokenizer files that are not JSON.
    private static let tokenizerFiles: Set<String> = [
        "chat_template.jinja", "merges.txt", "sentencepiece.bpe.model", "spiece.model", "tokenizer.model", "vocab.txt",
    ]
    private static let tokenizerEndings = [".tiktoken", ".model", ".spm", ".jinja", ".vocab", ".bpe"]
    private static let tokenizerStems: Set<String> = ["vocab", "merges", "dict", "added_tokens", "special_tokens_map"]
    private static let trainingStems: Set<String> = [
        "optimizer", "scheduler", "scaler", "trainer_state", "training_args", "random_states",
    ]
    private static let trainingPrefixes = ["rng_state", "random_states_", "checkpoint-", "global_step", "events.out."]
    private static let weightEndings = [
        ".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".h5", ".msgpack", ".onnx", ".gguf", ".npz", ".index.json",
    ]

    /// Whether every model that has such a file needs it, such as configuration and tokenizer files.
    static func isOfEveryModel(_ name: String) -> Bool {
        // An output of ours may be a base, and its report tells of another merge.
        guard !isTrainingState(name), name != "report.json" else { return false }
        if name.hasSuffix(".json") { return !name.hasSuffix(".index.json") }
        return tokenizerFiles.contains(name) || tokenizerEndings.contains { name.hasSuffix($0) }
            || (name.hasSuffix(".txt") && tokenizerStems.contains(stem(name)))
    }

    /// Whether the file belongs to a tokenizer.
    static func isOfTokenizer(_ name: String) -> Bool {
        if name.hasSuffix(".json") {
            let stem = stem(name)
            return stem.hasPrefix("tokenizer") || stem == "chat_template" || tokenizerStems.contains(stem)
        }
        return isOfEveryModel(name) || name.hasPrefix("additional_chat_templates/")
    }

    /// Whether the file is left over from training: optimizers, schedules, seeds, intermediate checkpoints.
    static func isTrainingState(_ name: String) -> Bool {
        // A plain `scheduler` is a part of some models.
        (name.contains(".") && trainingStems.contains(stem(name)))
            || trainingPrefixes.contains { name.hasPrefix($0) }
    }

    /// Whether the file holds weights, which are merged or are in another format.
    static func isWeights(_ name: String) -> Bool { weightEndings.contains { name.hasSuffix($0) } }

    private static func stem(_ name: String) -> String { String(name.prefix { $0 != "." }) }
}
