/// What a file's name alone says of its part in a model.
enum CompanionName {
    /// Tokenizer files that are not JSON, by their whole name.
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

    /// Whether every model that has such a file needs it: configuration, and the tokenizer's files.
    static func isOfEveryModel(_ name: String) -> Bool {
        guard !isTrainingState(name) else { return false }
        if name.hasSuffix(".json") { return !name.hasSuffix(".index.json") }
        return tokenizerFiles.contains(name) || tokenizerEndings.contains { name.hasSuffix($0) }
            || (name.hasSuffix(".txt") && tokenizerStems.contains(stem(name)))
    }

    /// Whether training left it behind: optimizers, schedules, seeds, checkpoints on the way.
    static func isTrainingState(_ name: String) -> Bool {
        // `scheduler` alone is a part of some models.
        (name.contains(".") && trainingStems.contains(stem(name)))
            || trainingPrefixes.contains { name.hasPrefix($0) }
    }

    /// Whether it holds weights, which are merged or are of another format.
    static func isWeights(_ name: String) -> Bool { weightEndings.contains { name.hasSuffix($0) } }

    private static func stem(_ name: String) -> String { String(name.prefix { $0 != "." }) }
}
