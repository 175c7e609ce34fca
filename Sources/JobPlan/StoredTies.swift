/// The stored tensors that a checkpoint's configuration ties to a word embedding that is stored too.
///
/// Some programs save both. Only their bytes tell whether they are still one weight.
public struct StoredTies: Sendable {
    /// A stored tensor, and the word embeddings that it may be a copy of, in the order of preference.
    public struct Tie: Sendable {
        /// The tensor.
        public let tensor: TensorInventory
        /// Word embeddings of the same shape; one of another type is another weight.
        public let embeddings: [TensorInventory]
        /// Whether the configuration says so, rather than only not denying it.
        public let isStated: Bool
    }

    /// The only word embedding of a checkpoint that stores no head and does not deny that its head is tied to it.
    public static func embedding(of checkpoint: CheckpointInventory) -> TensorInventory? {
        guard !checkpoint.tensors.keys.contains(where: isHead) else { return nil }
        return TensorNames.tiedEmbedding(of: checkpoint)
    }

    /// Whether a tensor of this name is an output head.
    public static func isHead(_ name: String) -> Bool {
        TensorNames.isTied(name) && !name.hasSuffix("embed_tokens.weight")
    }

    /// The ties, by the tensors' names.
    public let ties: [Tie]

    /// Finds the tensors; none without a configuration, or if it denies that the embedding is tied.
    public init(in checkpoint: CheckpointInventory) {
        guard let configuration = checkpoint.configuration, !configuration.untiesEmbeddings else {
            ties = []
            return
        }
        // An embedding may itself be tied to another one: a decoder's to the model's. The other comes first.
        func order(_ tensor: TensorInventory) -> (Int, String) {
            (TensorNames.isTied(tensor.name) ? 1 : 0, tensor.name)
        }
        let embeddings = checkpoint.tensors.values.filter(TensorNames.isWordEmbedding).sorted { order($0) < order($1) }
        ties = checkpoint.tensors.values.filter { TensorNames.isTied($0.name) && $0.elementCount > 1 }.compactMap {
            tensor in
            let isEmbedding = TensorNames.isWordEmbedding(tensor)
            let others = embeddings.filter {
                $0.name != tensor.name && $0.shape == tensor.shape && $0.floatingType != nil
                    && tensor.floatingType != nil && (!isEmbedding || order($0) < order(tensor))
            }
            guard !others.isEmpty else { return nil }
            return Tie(tensor: tensor, embeddings: others, isStated: configuration.tiesEmbeddings && !isEmbedding)
        }.sorted { $0.tensor.name < $1.tensor.name }
    }
}
