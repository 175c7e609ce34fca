/// The tokenizer that a job wants for its merged checkpoint: mergekit's `tokenizer_source` or `tokenizer`.
///
/// All models must have equal vocabularies, so that every source means the base's tokens.
public struct TokenizerSpec: Equatable, Sendable {
    /// Whose tokens the merged checkpoint has.
    public enum Source: Equatable, Sendable {
        /// The base's.
        case base
        /// Those of all models.
        case union
        /// Those of a model, by its path as written.
        case model(String)
    }

    /// Whose tokens the merged checkpoint has, and where the job says so.
    public var source: Located<Source>
    /// The number of which the rows of the embedding should be a multiple; `nil` for any number of rows.
    public var rowMultiple: Located<Int>?

    /// Describes a tokenizer.
    public init(source: Located<Source>, rowMultiple: Located<Int>? = nil) {
        self.source = source
        self.rowMultiple = rowMultiple
    }
}

extension CheckpointInventory {
    /// The word embeddings, by name.
    public var wordEmbeddings: [TensorInventory] {
        tensors.values.filter(TensorNames.isWordEmbedding).sorted { $0.name < $1.name }
    }
}
