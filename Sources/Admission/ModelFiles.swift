import JobPlan

/// Tells from the files beside a model's tensors what wrote them.
enum ModelFiles {
    /// Names that `save_pretrained` of transformers gives to other files than tensors.
    private static let names: Set<String> = [
        "generation_config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json",
        "preprocessor_config.json", "processor_config.json",
    ]

    /// Whether a directory looks like a model of transformers: by the files beside its tensors, or by a word embedding.
    static func isModelOfTransformers(names found: [String], _ checkpoint: CheckpointInventory) -> Bool {
        !names.isDisjoint(with: found) || checkpoint.tensors.keys.contains("model.embed_tokens.weight")
    }
}
