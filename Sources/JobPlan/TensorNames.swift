import Identifiers

/// The base's tensors under all their names, also those that its files omit because they are tied.
struct TensorNames {
    private let base: CheckpointInventory
    /// The kept tensors by the names that were omitted, where a file or a checkpoint tells them.
    private let ties: [String: String]
    /// The word embedding that a missing output head or embedding is tied to.
    private let embedding: TensorInventory?

    /// Collects the names.
    ///
    /// `safetensors.torch.save_model` notes omitted names in the file's metadata. A checkpoint that holds its own copy
    /// of a tied tensor shows the tie too.
    init(of base: CheckpointInventory, _ checkpoints: some Collection<CheckpointInventory>) {
        self.base = base
        var ties: [String: String] = [:]
        for checkpoint in checkpoints { ties.merge(checkpoint.ties) { first, _ in first } }
        for shard in base.shards { ties.merge(shard.metadata) { first, _ in first } }
        self.ties = ties
        embedding = Self.tiedEmbedding(of: base)
    }

    /// The tensor of a name; that of a second copy is the first.
    subscript(name: String) -> TensorInventory? {
        base.tensors[base.copies[name] ?? name] ?? ties[name].flatMap { base.tensors[$0] }
            ?? (Self.isTied(name) ? embedding : nil)
    }

    /// The only word embedding of a base, unless its configuration denies that others are tied to it.
    ///
    /// Hugging Face models tie their word embeddings by default. Two embeddings do not tell which one is meant.
    static func tiedEmbedding(of base: CheckpointInventory) -> TensorInventory? {
        guard let configuration = base.configuration, !configuration.untiesEmbeddings else { return nil }
        let embeddings = base.tensors.values.filter { isWordEmbedding($0) && base.copies[$0.name] == nil }
        return embeddings.count == 1 ? embeddings.first : nil
    }

    static func isWordEmbedding(_ tensor: TensorInventory) -> Bool {
        tensor.shape.count == 2 && wordEmbeddings.contains { tensor.name == $0 || tensor.name.hasSuffix(".\($0)") }
    }

    /// Whether models tie a tensor of this name to their word embedding.
    static func isTied(_ name: String) -> Bool {
        let parts = name.split(separator: ".").suffix(2)
        return parts.count == 2 && parts.last == "weight" && parts.first.map(heads.contains) ?? false
    }

    /// Whether a tensor of this name is an output head.
    static func isHead(_ name: String) -> Bool { isTied(name) && !name.hasSuffix("embed_tokens.weight") }

    /// The modules that models of Hugging Face transformers tie to their word embedding.
    private static let heads: Set<Substring> = ["lm_head", "embed_out", "output_projection", "embed_tokens"]
    private static let wordEmbeddings = [
        "wte.weight", "embed_tokens.weight", "shared.weight", "word_embeddings.weight", "tokens_embed.weight",
        "embed_in.weight", "tok_embeddings.weight",
    ]
}
